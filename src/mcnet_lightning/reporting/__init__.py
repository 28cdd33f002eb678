"""From run folders to tables, figures and one page. Imports no torch: it only reads what runs have written."""

"""From run folders to tables, figures and one page: it only reads what runs have written."""

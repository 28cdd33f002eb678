"""What mkdocs calls while it builds the site: generated pages, code and tables taken in, links that leave docs/.

The site's tree is docs/ with CHANGELOG.md, CONTRIBUTING.md, SECURITY.md, benchmarks/ and experiments/ beside its pages,
so that their own links hold as they do in the repository.
"""

import ast
import csv
import re
from pathlib import Path
from typing import Any

import drawings
import reference
from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
ADOPTED = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md", "experiments/*/README.md")
THEIRS = ("experiments/**/*.svg", "experiments/**/*.md", "benchmarks/results/**/*.md")  # what these link to


def on_files(files: Files, config: Any) -> Files:
    for pattern in (*ADOPTED, *THEIRS):
        for path in sorted(ROOT.glob(pattern)):
            place = path.relative_to(ROOT).as_posix()
            if "runs" not in path.parts and files.get_file_from_path(place) is None:
                files.append(File.generated(config, place, content=path.read_bytes()))
    for place, content in {**reference.pages(), **drawings.drawings(ROOT)}.items():
        files.append(File.generated(config, place, content=content))
    reference.add_to(config.nav)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    place = page.file.src_uri
    markdown = re.sub(r"^<!-- source: (\S+)(.*) -->$", _source, markdown, flags=re.MULTILINE)
    markdown = markdown.replace("<!-- weights -->", reference.weights(ROOT / "src/mcnet_lightning/assets"))
    markdown = re.sub(r"^<!-- csv: (\S+)(.*) -->$", _table, markdown, flags=re.MULTILINE)
    markdown = re.sub(r"^```math\n(.*?)^```$", _formula, markdown, flags=re.MULTILINE | re.DOTALL)
    if (ROOT / "docs" / place).is_file():  # ../../experiments leads out of docs/, but not out of the site
        out = "../" * (place.count("/") + 1)
        return re.sub(rf"\]\({re.escape(out)}(?!\.\./)", f"]({out[3:]}", markdown)
    return re.sub(r"\]\(((?:\.\./)*)docs/", r"](\1", markdown)


def _source(match: re.Match[str]) -> str:
    """The file, or what it declares under the names, as a block of code."""
    path, names = match[1], match[2].split()
    text = (ROOT / path).read_text()
    if names:
        nodes = {each.name: each for each in ast.parse(text).body if isinstance(each, ast.ClassDef | ast.FunctionDef)}
        missing = [name for name in names if name not in nodes]
        if missing:
            raise PluginError(f"{path} declares no {missing[0]}")
        text = "\n\n".join(ast.get_source_segment(text, nodes[name]) or "" for name in names)
    kind = {".py": "python", ".yaml": "yaml", ".json": "json"}[Path(path).suffix]
    return f'```{kind} title="{path}"\n{text.strip()}\n```'


def _table(match: re.Match[str]) -> str:
    """The rows of a CSV file as a table, only those that hold every word that follows its path."""
    with (ROOT / match[1]).open(newline="") as file:
        head, *rows = csv.reader(file)
    words = [word.strip() for word in match[2].split(";") if word.strip()]
    rows = [row for row in rows if all(word in row for word in words)]
    if not rows:
        raise PluginError(f"{match[1]} has no rows with {words}")
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _formula(match: re.Match[str]) -> str:
    """MathML, which browsers draw by themselves."""
    return f'<div class="math">{convert(" ".join(match[1].split()), display="block")}</div>'

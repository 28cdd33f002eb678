"""What README and the site show was run: their commands and Python; their links hold, their figures stand in files."""

import ast
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from composing_once import compose
from in_process import command
from PIL import Image
from test_layers import COMMANDS, FLOOR, SOURCE

import mcnet_lightning
from mcnet_lightning.cli.words import hydra_words
from mcnet_lightning.config.overrides import parse

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")])
KINDS = ("run", "slow", "not run", "fails with 2")
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
MADE = ("reference/components.md", "reference/commands/", "images/rooms.svg", "images/headroom.svg")  # by docs/building


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    text: str
    mark: str  # the comment above it

    @property
    def kind(self) -> str:
        return self.mark.partition(":")[0]

    @property
    def more(self) -> str:
        """What the mark says beside that: words for each command that keep it short, or why it is not run."""
        return self.mark.partition(":")[2].strip()

    @property
    def commands(self) -> list[list[str]]:
        """The words of every line, without comments."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    fence, mark, start, lines = "", "", 0, list[str]()
    for number, line in enumerate(page.read_text().splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("```") and fence:
            yield Block(page, start, (fence[3:].split() or [""])[0], "\n".join(lines), mark)
            fence, mark = "", ""
        elif stripped.startswith("```"):
            fence, start, lines = f"{stripped} ", number, []
        elif fence:
            lines.append(line)
        elif stripped:
            mark = stripped[5:-4].strip() if stripped.startswith("<!-- ") and stripped.endswith(" -->") else ""


ALL = [block for page in PAGES for block in blocks(page)]


def chosen(*kinds: str, language: str = "sh") -> list[Any]:
    found = [block for block in ALL if block.language == language and block.kind in kinds]
    return [pytest.param(block, id=str(block)) for block in found]


def ours(words: list[str]) -> tuple[str, list[str]] | None:
    """Module and arguments of a command of this package; None for any other."""
    if words[:2] == ["python", "-m"] and words[2].startswith("mcnet_lightning."):
        return words[2].partition(".")[2], words[3:]
    if words[0].startswith("mcnet-"):
        return words[0].removeprefix("mcnet-").replace("-", "_"), words[1:]
    return None


@dataclass
class Place:
    """A folder with what the pages speak of: pictures below DIR, astronaut.png, the examples."""

    folder: Path
    done: set[str] = field(default_factory=set)

    def arguments(self, block: Block, words: list[str]) -> list[str]:
        printed = {"--help", "--cfg=job"} & set(words)
        said = [*words, *([] if printed or block.kind == "fails with 2" else block.more.split())]
        return [re.sub(r"\bPICTURES\b", "data/test/Set5", re.sub(r"\bDIR\b", "data", word)) for word in said]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("pages")
    generator = np.random.default_rng(0)
    for name, count in (("train/T91", 4), ("test/Set5", 1), ("test/Set14", 1)):
        (folder / "data" / name).mkdir(parents=True)
        for number in range(count):
            smooth = np.kron(generator.integers(60, 190, (12, 12, 3)), np.ones((6, 6, 1))).astype(np.uint8)
            Image.fromarray(smooth).save(folder / "data" / name / f"picture{number}.png")
    shutil.copy(DOCS / "images" / "astronaut.png", folder)
    Image.fromarray((generator.random((80, 80)) < 0.5).astype(np.uint8) * 255).save(folder / "pixels.png")
    (folder / "examples").symlink_to(ROOT / "examples")
    return Place(folder)


def test_every_block_of_commands_says_whether_it_is_run() -> None:
    for block in ALL:
        if block.language == "sh":
            assert block.kind in KINDS, f"{block}: the comment above must say run, slow, fails with 2 or not run"
            assert block.kind != "not run" or block.more, f"{block}: say why it is not run"
        elif block.language != "python":
            shown = re.findall(r"^\s*(?:python -m|mcnet-|make |pip )", block.text, re.MULTILINE)
            assert not shown, f"{block}: commands stand in blocks of ```sh"


@pytest.mark.parametrize(
    "page", sorted({block.page for block in ALL if block.language == "python"}), ids=lambda p: p.stem
)
def test_python_is_run(page: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the commands, which may take the files that it writes."""
    monkeypatch.chdir(place.folder)
    names: dict[str, Any] = {}
    for block in ALL:
        if block.page == page and block.language == "python":
            exec(compile("\n" * block.line + block.text, str(page), "exec"), names)


@pytest.mark.parametrize("block", chosen("run", "fails with 2"))
def test_commands_are_run(block: Block, place: Place) -> None:
    for words in block.commands:
        found = ours(words)
        assert found, f"{block}: {' '.join(words)} is no command of this package; mark it slow, or not run"
        line = " ".join(words)
        if line not in place.done:  # several pages show the same
            ended = command(place.folder, found[0], *place.arguments(block, found[1]))
            assert ended.returncode == (2 if block.kind == "fails with 2" else 0), f"{block}: {line}\n{ended.stderr}"
            place.done.add(line)


@pytest.mark.slow
@pytest.mark.parametrize("block", chosen("slow"))
def test_long_commands_are_run(block: Block, place: Place) -> None:
    for words in block.commands:
        found = ours(words)
        if found:
            said = place.arguments(block, found[1])
            ended: Any = command(place.folder, found[0], *said)
        else:  # the environment is the one that runs this
            said = ["make", "--old-file=.venv/.ok", f"PYTHON={sys.executable}", *words[1:]]
            said += [f"ARGS=hydra.run.dir={place.folder}/made"] if words[1:] == ["train"] else []
            ended = subprocess.run(said, cwd=ROOT, capture_output=True, text=True)
        assert ended.returncode == 0, f"{block}: {' '.join(said)}\n{ended.stderr}"


@pytest.mark.parametrize("block", chosen("not run"))
def test_words_of_commands_that_are_not_run_are_known(block: Block, place: Place) -> None:
    for words in block.commands:
        found = ours(words)
        if not found or any(word.startswith("--config-dir") for word in words):
            continue
        name, given = found[0], [word for word in place.arguments(block, found[1])[: len(found[1])] if word != "-m"]
        if name == "pretrain":
            name, given = f"pretrain_{given[0]}", given[1:]
        plain = [word for word in hydra_words(name, given) if not word.startswith("hydra")]
        firsts = {o.key_or_group: next(o.sweep_string_iterator()) for o in parse(plain) if o.is_sweep_override()}
        compose(name, [f"{key}={firsts[key]}" if (key := w.partition("=")[0]) in firsts else w for w in plain])


@pytest.mark.slow
@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_run(script: Path, tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    distances = [float(found) for found in re.findall(r"\|\|A x - b\|\| ([\d.e+-]+)", ended.stdout)]
    assert not distances or distances[-1] < 1e-4


def test_the_restored_picture_is_what_the_command_makes(place: Place) -> None:
    """Its certificate is shown; other machines round otherwise, by little."""
    if not (place.folder / "restored").exists():
        command(place.folder, "restore", "astronaut.png", "restored", "scale=4", "backbone=rcan")
    made, shown = (
        np.asarray(Image.open(folder / "restored" / "astronaut.png"), dtype=float)
        for folder in (place.folder, DOCS / "images")
    )
    assert np.abs(made - shown).mean() < 0.1
    ended = command(place.folder, "certify", str(DOCS / "images/restored/astronaut.png"), "astronaut.png")
    assert ended.returncode == 0, ended.stdout + ended.stderr


# --- links


def anchors(text: str) -> set[str]:
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads}


@pytest.mark.parametrize(
    "page",
    [*PAGES, *(ROOT / f"{name}.md" for name in ("CHANGELOG", "SECURITY"))],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_links_lead_somewhere(page: Path) -> None:
    """Within the repository; mkdocs checks the site's again, generated pages included."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text):
        target, _, anchor = "".join(link).partition("#")
        if "://" in target:
            continue
        path = (page.parent / target).resolve() if target else page
        place = path.relative_to(ROOT).as_posix().removeprefix("docs/")
        if place.startswith(MADE):
            continue
        if place.startswith("reference/python/"):
            assert path.stem in mcnet_lightning.__all__, place
            continue
        assert path.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(path.read_text()), f"{page.name} links to {target}#{anchor}"


def test_every_page_stands_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    for page in DOCS.rglob("*.md"):
        assert page.relative_to(DOCS).as_posix() in navigation, page


def test_every_public_name_is_listed() -> None:
    page = (DOCS / "reference" / "python.md").read_text()
    assert all(f"(python/{name}.md)" in page for name in mcnet_lightning.__all__)


def test_classes_of_the_examples_that_pages_show_exist() -> None:
    for page in PAGES:
        for path, names in re.findall(r"^<!-- source: (\S+)(.*) -->$", page.read_text(), re.MULTILINE):
            text = (ROOT / path).read_text()
            declared = [each.name for each in ast.parse(text).body if isinstance(each, ast.ClassDef)] if names else []
            assert set(names.split()) <= set(declared), f"{page.name} shows {names} of {path}"


# --- figures


def test_figures_of_the_readme_stand_in_files_that_commands_wrote() -> None:
    text = (ROOT / "README.md").read_text()
    table = text.partition("\n## Results\n")[2].partition("\n## ")[0]
    figures = re.findall(r"\d+\.\d{3}\b", table)
    written = "\n".join(path.read_text() for path in (ROOT / "experiments").rglob("*.csv"))
    published = (SOURCE / "assets" / "published" / "mcnet2023.csv").read_text()
    known = set(re.findall(r"\d+\.\d{3}\b", written)) | {f"{float(v):.3f}" for v in re.findall(r"\d+\.\d+", published)}
    assert len(figures) > 10
    assert set(figures) <= known, set(figures) - known


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def loaded(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_of_the_house_shows_every_room_below_what_it_imports() -> None:
    drawings = loaded("docs/building/drawings.py")
    graph = drawings.imports(SOURCE)
    drawn = drawings.rooms(SOURCE)
    assert set(graph) == (set(FLOOR) | {"commands"}) - {"hydra_plugins", "__init__", *COMMANDS}
    floor = {**FLOOR, "commands": FLOOR[COMMANDS[0]]}
    for room, others in drawings.reduced(graph).items():
        assert f">{room}</text>" in drawn
        assert all(floor[each] < floor[room] for each in others)


def test_the_notes_of_a_release_are_what_the_changelog_says() -> None:
    release = loaded(".ci/release.py")
    text = "# Changelog\n\n## Unreleased\n\n- new\n\n## 0.2.0\n\n- two\n\n## 0.1.0\n\n- one\n"
    assert release.notes(text, "0.2.0") == "- two\n"
    assert release.notes(text, "0.1.0") == "- one\n"
    with pytest.raises(SystemExit, match="has nothing under"):
        release.notes(text, "0.3.0")

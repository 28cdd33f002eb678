"""Pages of the reference: every command and key from the schemas, as `--help` has them, and every public name."""

import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

import mcnet_lightning
from mcnet_lightning.cli.help_page import REFUSED, UNUSED
from mcnet_lightning.config import COMMANDS
from mcnet_lightning.config.components import registered
from mcnet_lightning.config.composition import (
    composed,
    composing,
    conf_dir,
    group_choices,
    group_options,
    without_hydra,
)
from mcnet_lightning.config.outline import shell
from mcnet_lightning.config.validation import Key, describe, keys_of, shown_value

ORDER = ("train", "evaluate", "restore", "certify", "search_beta", "pretrain_backbone", "pretrain_denoiser", "report")
GROUPS = {  # which command shows the options of each group, and what the group is
    "problem": ("train", "What is measured of what, and how quality is counted."),
    "operator": ("train", "A of super-resolution: what makes the low-resolution picture."),
    "protocol": ("train", "How a test image becomes LR, and how quality is counted."),
    "data": ("train", "Which images."),
    "backbone": ("train", "The frozen network w."),
    "layer": ("train", "Where the equilibrium layer comes from."),
    "denoiser": ("train", "The layer's network R."),
    "solver": ("train", "Finds the fixed point."),
    "backward": ("train", "Solves for the gradient through it."),
    "method": ("train", "Rows of the ladder."),
    "optimiser": ("train", "How the weights are trained."),
    "trainer": ("train", "Which devices train."),
    "logger": ("train", "Where a run is recorded."),
    "experiment": ("train", "Several settings at once."),
    "sweep": ("train", "Grids of settings, one job for each."),
}


def pages() -> dict[str, str]:
    """The content of every generated page by its place in the site."""
    names = [*ORDER, *(name for name in COMMANDS if name not in ORDER)]
    made = {f"reference/commands/{name}.md": _command(name) for name in names}
    made["reference/components.md"] = _components()
    for name in mcnet_lightning.__all__:
        made[f"reference/python/{name}.md"] = (
            f"::: mcnet_lightning.{name}\n    options: {{show_root_heading: true, heading_level: 1}}\n"
        )
    return made


def add_to(nav: list[Any]) -> None:
    """Lists the generated pages where the navigation says `commands` and `python`."""
    places = list(pages_places())
    for entry in nav:
        for key, inner in entry.items():
            if key == "Reference":
                for group, prefix in (("Commands", "reference/commands/"), ("Python", "reference/python/")):
                    here = next(each for each in inner if group in each)
                    here[group] += [{_title(place): place} for place in places if place.startswith(prefix)]


def pages_places() -> Iterator[str]:
    yield from (f"reference/commands/{name}.md" for name in dict.fromkeys([*ORDER, *COMMANDS]))
    yield from (f"reference/python/{name}.md" for name in mcnet_lightning.__all__)


def weights(assets: Path) -> str:
    """A row for every bundled file of weights, from the model card beside it."""
    rows = ["| kind | name | Set5, dB | Set14, dB | made by |", "|---|---|---|---|---|"]
    for card in sorted(assets.glob("*/*.md")):
        if card.with_suffix(".safetensors").exists():
            text = card.read_text()
            rows_of = r"^\| {} \|(?: mcnet \||.* \|) (\d+\.\d{{3}}) \|"  # of a layer's methods the last, mcnet
            found = [re.findall(rows_of.format(name), text, re.MULTILINE) for name in ("Set5", "Set14")]
            figures = [each[-1] if each else "" for each in found]
            made = re.search(r"^\d+ steps of [^,]*, [\d.]+ (?:minutes|hours)", text, re.MULTILINE)
            kind = card.parent.name.removesuffix("s")
            rows += [f"| {kind} | `{card.stem}` | {figures[0]} | {figures[1]} | {made[0] if made else ''} |"]
    return "\n".join(rows)


def _title(place: str) -> str:
    return Path(place).stem.replace("_", " ") if "/commands/" in place else Path(place).stem


def _command(name: str) -> str:
    lines = (conf_dir(name) / f"{name}.yaml").read_text().splitlines()
    about, *examples = [line.lstrip("#").strip() for line in itertools.takewhile(lambda s: s.startswith("#"), lines)]
    with composing(name):
        cfg = composed(name, [])
        groups = group_choices(cfg)
        options = {group: group_options(cfg, group) for group in groups}
        keys = [key for key in keys_of(without_hydra(cfg)) if key.field and "help" in key.field.metadata]
    keys = [key for key in keys if key.path not in UNUSED.get(name, ())]
    page = [f"# {_title('/commands/' + name)}", "", about, "", "```", *examples, "```", ""]
    if groups:
        page += ["## Groups", "", "An option sets several keys at once; **bold** is chosen where none is.", ""]
        page += ["| group | options |", "|---|---|"]
        for group, chosen in reversed(groups.items()):
            shown = [each for each in options[group] if each not in REFUSED.get((name, group), ())]
            listed = ", ".join(f"**`{each}`**" if each == chosen else f"`{each}`" for each in shown)
            title = f"[`{group}`](../components.md#{group})" if group in GROUPS else f"`{group}`"
            page += [f"| {title} | {listed} |"]
        page += ["", "Keys of other options: [components](../components.md).", ""]
    page += ["## Keys", ""]
    for section in sorted(dict.fromkeys(map(_section, keys)), key=bool):
        if section:
            option = groups.get(section)
            page += [f"### {section}", "", *([f"with `{section}={option}`", ""] if option else [])]
        page += [*_keys(key for key in keys if _section(key) == section), ""]
    return "\n".join(page)


def _components() -> str:
    page = ["# Components", "", "Every option of every group of settings, with the keys that it has of its own.", ""]
    for group, (command, about) in GROUPS.items():
        page += [f"## {group}", "", about, ""]
        with composing(command):
            options = group_options(composed(command, []), group)
            for option in options:
                page += [f"### {group}={option}", "", _about(group, option), ""]
                page += _of_option(command, group, option)
    return "\n".join(page)


def _of_option(command: str, group: str, option: str) -> list[str]:
    path = conf_dir() / group / f"{option}.yaml"
    if group in ("experiment", "sweep", "data", "trainer", "logger", "layer", "optimiser", "protocol", "method"):
        text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
        content = yaml.safe_load(text)
        return ["```yaml", yaml.safe_dump(content, sort_keys=False).strip(), "```", ""] if content else []
    cfg = composed(command, [f"{group}={option}"])
    keys = [key for key in keys_of(without_hydra(cfg)) if _section(key) == group and key.field]
    keys = [key for key in keys if key.field is not None and "help" in key.field.metadata]
    return [*_keys(keys), ""] if keys else []


def _about(group: str, option: str) -> str:
    """The comment at the top of its file, or what its class says first."""
    path = conf_dir() / group / f"{option}.yaml"
    if path.is_file():
        comment = [line[1:].strip() for line in path.read_text().splitlines() if line.startswith("#")]
        words = [line for line in comment if not line.startswith(("@package", "python -m"))]
        return _escaped(words[0]) if words else ""
    target = registered()[group][option]
    return _escaped((shell(target).__doc__ or "").split("\n\n")[0].replace("\n", " ")) + f" (`{target}`)"


def _section(key: Key) -> str:
    return key.path.split(".")[0] if "." in key.path else ""


def _keys(keys: Iterable[Key]) -> list[str]:
    rows = []
    for key in keys:
        assert key.field is not None
        meaning, accepted = str(key.field.metadata["help"]), describe(key.field)
        rows.append(
            f"| `{key.path}` | `{shown_value(key.value) or ' '}` | {_escaped(meaning)} | {_escaped(accepted)} |"
        )
    return ["| key | default | meaning | accepts |", "|---|---|---|---|", *rows] if rows else []


def _escaped(text: str) -> str:
    return re.sub(r"([|*_<])", r"\\\1", text)

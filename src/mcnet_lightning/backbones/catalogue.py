"""The documentation's table of backbones, made from the code and the bundled model cards.

python -m mcnet_lightning.backbones.catalogue      # puts it between the file's two marks
"""

import inspect
import re
from pathlib import Path
from urllib.parse import urlsplit

import torch
from torch import nn

from mcnet_lightning.backbones.facts import facts_of, networks
from mcnet_lightning.backbones.frozen import FrozenBackbone
from mcnet_lightning.backbones.loading import untrained_backbone
from mcnet_lightning.errors import WeightsError
from mcnet_lightning.files.weights import bundled_path

SCALES = (2, 3, 4)
FOOD = {"upsampled": "Y, enlarged", "lr_rgb": "RGB"}
MARKS = ("<!-- backbones: made by mcnet_lightning.backbones.catalogue -->", "<!-- end of backbones -->")
EXTERNAL_ROWS = (
    "| `spandrel` | any network spandrel detects | the file's | gray or RGB | 0..1 | | `backbone.weights=PATH` |",
    "| `several` | the mean of several of these | theirs | theirs | | | `backbone=[rcan,rdn]` |",
    "| `precomputed` | pictures (8 or 16 bit) or arrays made earlier | | | 0..1 | | `backbone.root=DIR` |",
)


def backbone_table() -> str:
    """Markdown: one row per backbone."""
    return "\n".join(
        [
            "| `backbone=` | network | parameters at x2, bundled (published) | takes | computes on | bundled, Set5 "
            "x2 / x3 / x4 in dB | official files |",
            "|---|---|---|---|---|---|---|",
            *(_row(name, kind) for name, kind in networks().items() if not issubclass(kind, FrozenBackbone)),
            *EXTERNAL_ROWS,
        ]
    )


def write_table(path: Path) -> None:
    """Replaces what stands between the two marks."""
    before, _, rest = path.read_text().partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    path.write_text(f"{before}{MARKS[0]}\n{backbone_table()}\n{MARKS[1]}{after}")


def _row(name: str, kind: type[nn.Module]) -> str:
    facts = facts_of(kind)
    with torch.device("meta"):
        sizes = (facts.compact, {key: inspect.signature(kind).parameters[key].default for key in facts.compact})
        bundled, published = (_parameters(untrained_backbone(kind, 2, size)[0]) for size in sizes)
    parameters = bundled if bundled == published else f"{bundled} ({published})"
    figures = " / ".join(_bundled_psnr(name, scale) for scale in SCALES) if bundled else ""
    hosts = {"/".join(urlsplit(file.url).path.split("/")[1:3]) for file in facts.official.values()}
    return (
        f"| `{name}` | {facts.citation} | {parameters} | {FOOD.get(facts.input_kind, facts.input_kind)} | "
        f"{facts.levels} | {figures} | {', '.join(hosts)} |"
    )


def _parameters(network: nn.Module) -> str:
    number = sum(parameter.numel() for parameter in network.parameters())
    return f"{number / 1e6:.2f} M" if number else ""


def _bundled_psnr(name: str, scale: int) -> str:
    """From the model card beside the weights, protocol `paper`."""
    try:
        card = bundled_path("backbone", f"{name}_x{scale}").with_suffix(".md").read_text()
    except WeightsError:
        return "-"
    found = re.search(r"^\| Set5 \| [\d.]+ \| ([\d.]+) \|", card, re.MULTILINE)
    return found[1] if found else "-"


if __name__ == "__main__":
    write_table(Path("docs/guides/backbones.md"))

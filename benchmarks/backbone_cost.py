"""What the layer costs on top of a large backbone: MCNet's time against that of the full-size RCAN below it.

    python benchmarks/backbone_cost.py     # five minutes on 2 cores

RGB 256 x 256 to 512 x 512. RCAN has random weights, which changes its picture but not its time; the layer gets the
prior image of the bundled SRCNN instead, so that it takes as many evaluations as it would in earnest.
"""

from functools import partial

import measuring
import torch
from instruments import watched
from problems import Problem, images
from schemes import ours

from mcnet_lightning.backbones.rcan import RCAN

CROP, SMOKE_CROP = 512, 64
IMAGES = 2  # of the embedded photographs: the third is smaller
REPETITIONS = 5
TOLERANCE = 1e-5
COLUMNS = (
    "image",
    "backbone_cpu",
    "backbone_wall",
    "layer_cpu",
    "layer_wall",
    "evaluations",
    "layer_share_of_backbone",
)


@torch.no_grad()
def cost(problem: Problem, backbone: RCAN, repetitions: int) -> dict[str, object]:
    """One row; the share is of wall times."""
    rgb = problem.measurement.expand(-1, 3, -1, -1)
    works = {"backbone": partial(backbone, rgb), "layer": partial(ours, problem, TOLERANCE)}
    backbone(rgb)
    with watched(problem.layer) as watch:
        ours(problem, TOLERANCE)
    seconds = measuring.interleaved(works, repetitions)
    return {
        "image": problem.name,
        **{f"{name}_{clock}": getattr(each, clock) for name, each in seconds.items() for clock in ("cpu", "wall")},
        "evaluations": watch.evaluations(1),
        "layer_share_of_backbone": seconds["layer"].wall / seconds["backbone"].wall,
    }


def main() -> None:
    options = measuring.arguments(__doc__).parse_args()
    measuring.prepare(options.device)
    torch.manual_seed(0)
    backbone = RCAN(2, groups=1, blocks=1) if options.smoke else RCAN(2)
    found = images(2, 0.0, None, SMOKE_CROP if options.smoke else CROP, IMAGES)
    repetitions = 1 if options.smoke else REPETITIONS
    backbone.eval().to(options.device)
    rows = [cost(problem.to(options.device), backbone, repetitions) for problem in found]
    measuring.report("backbone_cost", options.output, COLUMNS, rows)


if __name__ == "__main__":
    main()

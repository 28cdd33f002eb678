"""A ladder over whole test sets."""

import warnings
from pathlib import Path
from typing import Any

from rich.progress import track
from torch import Tensor

from mcnet_lightning.data import WholeImages
from mcnet_lightning.evaluation.ladder import Ladder
from mcnet_lightning.evaluation.records import Record, picture_name
from mcnet_lightning.evaluation.tables import print_ladder, with_means
from mcnet_lightning.evaluation.traces import Trace, trace_rows, write_traces
from mcnet_lightning.imaging import write_png

REMEDIES = {"tvtv": "tvtv.max_steps", "pnp": "pnp.max_iterations or pnp.tolerance"}


def evaluate_ladder(
    ladder: Ladder, images: WholeImages, pictures: Path | None = None, traces: Path | None = None
) -> list[Record]:
    """Measures every image by every method, prints the ladder and returns its records, means included.

    pictures: a folder for one PNG of every estimate, and of HR and LR. traces: a file for the residuals of every solve.

    Images whose fixed point was not reached are named in a warning; their rows show the residual.
    """
    records, residuals = [], list[Trace]()
    for index in track(range(len(images)), description="measuring", transient=True):
        image = images[index]
        for estimate in ladder.estimates(image):
            records.append(ladder.measure(image, estimate))
            if estimate.stats is not None and not bool(estimate.stats.converged.all()):
                remedy = REMEDIES.get(estimate.method, "beta or solver.max_evaluations")
                warnings.warn(
                    f"{image['name']}: {estimate.method} has not converged, residual "
                    f"{float(estimate.stats.residual[0]):.1e}; raise {remedy}",
                    stacklevel=2,
                )
            if estimate.stats is not None:
                residuals += trace_rows(image["dataset"], image["name"], estimate)
            if pictures is not None:
                _write_picture(pictures, image, estimate.method, estimate.image)
        if pictures is not None:
            _write_picture(pictures, image, "hr", image["truth"])
            _write_picture(pictures, image, "lr", image["measurement"])
    if traces is not None:
        write_traces(traces, residuals)
    records = with_means(records)
    print_ladder(records, label=ladder.backbone.spec.label)
    return records


def _write_picture(folder: Path, image: dict[str, Any], kind: str, picture: Tensor) -> None:
    """`picture` (1, 1, ., .) as DATASET_IMAGE_KIND.png."""
    folder.mkdir(parents=True, exist_ok=True)
    write_png(folder / picture_name(image["dataset"], image["name"], kind), picture[0])

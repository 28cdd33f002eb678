"""A ladder over whole test sets."""

import sys
import warnings
from pathlib import Path
from typing import Any

from rich.progress import track
from torch import Tensor

from mcnet_lightning.backbones.tiling import return_freed_memory
from mcnet_lightning.data import WholeImages
from mcnet_lightning.equilibrium import Outcome
from mcnet_lightning.errors import ConfigError, ConvergenceError, WeightsError
from mcnet_lightning.evaluation.failures import Failures, failure_of
from mcnet_lightning.evaluation.ladder import Estimate, Ladder
from mcnet_lightning.evaluation.records import Record, picture_name
from mcnet_lightning.evaluation.tables import print_ladder, with_means
from mcnet_lightning.evaluation.traces import Trace, trace_rows, write_traces
from mcnet_lightning.files import make_folder
from mcnet_lightning.imaging import write_png


def require_images(images: WholeImages) -> None:
    """Raises ConfigError where there are none."""
    if not len(images):
        raise ConfigError("there is no test image to measure; name some in data.test")


def evaluate_ladder(
    ladder: Ladder, images: WholeImages, pictures: Path | None = None, traces: Path | None = None
) -> tuple[list[Record], Failures]:
    """Measures every image by every method and prints the ladder; its records, means included, and what failed.

    pictures: a folder for one PNG of every estimate, and of the truth and of what was seen of it. traces: a file for
    the residuals of every solve.

    Images whose fixed point was not reached are named in a warning; their rows show the residual. An image that a
    network or a method makes NaN or Inf of is named, and has no rows. Where epsilon is not met the row stays, the image
    is named, and the failures say so; they are the caller's to raise, once everything is written.

    Raises ConfigError without images, WeightsError or ConvergenceError if none is left.
    """
    require_images(images)
    records, residuals, failures = [], list[Trace](), Failures()
    for index in track(range(len(images)), description="measuring", transient=True):
        return_freed_memory()  # of the image before, which may have had another size
        image = images[index]
        try:
            estimates = list(ladder.estimates(image))
        except (WeightsError, ConvergenceError) as error:
            failures.add(f"{image['dataset']}, {error}", type(error))
            print(f"not measured: {image['dataset']}, {error}", file=sys.stderr)
            continue
        seen, problem = image["observation"], ladder.problem
        for estimate in estimates:
            record = ladder.measure(image, estimate)
            records.append(record)
            _judge(image, estimate, record, failures)
            if estimate.stats is not None:
                residuals += trace_rows(image["dataset"], image["name"], estimate)
            if pictures is not None:
                shown = problem.shown(estimate.image.to(seen.truth), seen)
                _write_picture(pictures, image, estimate.method.name, shown)
        if pictures is not None:
            _write_picture(pictures, image, "hr", problem.shown(seen.truth, seen))
            _write_picture(pictures, image, "lr", problem.seen_in_colour(seen))
    if not records:
        failures.raise_first()
    if traces is not None:
        write_traces(traces, residuals)
    records = with_means(records)
    print_ladder(records, label=ladder.backbone.spec.label)
    return records, failures


def _judge(image: dict[str, Any], estimate: Estimate, record: Record, failures: Failures) -> None:
    """Says where epsilon is not met, which is a failure, and where the iteration has not converged, which is not."""
    failure = failure_of(record, estimate.stats, image["observation"].measurement[0].numel())
    if failure is not None:
        failures.add(*failure)
        print(f"failed: {failure[0]}", file=sys.stderr)
    elif estimate.stats is not None and int(estimate.stats.outcome[0]) == Outcome.MAX_EVALUATIONS:
        remedy = f"; raise {estimate.method.remedy}" if estimate.method.remedy else ""
        warnings.warn(
            f"{image['name']}: {estimate.method.name} has not converged, residual "
            f"{float(estimate.stats.residual[0]):.1e}{remedy}",
            stacklevel=3,
        )


def _write_picture(folder: Path, image: dict[str, Any], kind: str, picture: Tensor) -> None:
    """`picture` (1, 1 or 3, ., .) as DATASET_IMAGE_KIND.png."""
    write_png(make_folder(folder) / picture_name(image["dataset"], image["name"], kind), picture[0])

"""A ladder over whole test sets."""

import warnings
from pathlib import Path

from rich.progress import track

from mcnet_lightning.data import WholeImages
from mcnet_lightning.evaluation.ladder import Ladder, Record
from mcnet_lightning.evaluation.tables import print_ladder, with_means
from mcnet_lightning.imaging import write_png

REMEDIES = {"tvtv": "tvtv.max_steps", "pnp": "pnp.max_iterations or pnp.tolerance"}


def evaluate_ladder(ladder: Ladder, images: WholeImages, pictures: Path | None = None) -> list[Record]:
    """Measures every image by every method, prints the ladder and returns its records, means included.

    Images whose fixed point was not reached are named in a warning; their rows show the residual.
    """
    records = []
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
            if pictures is not None:
                pictures.mkdir(parents=True, exist_ok=True)
                write_png(pictures / f"{image['dataset']}_{image['name']}_{estimate.method}.png", estimate.image[0])
    records = with_means(records)
    print_ladder(records, label=ladder.backbone.spec.label)
    return records

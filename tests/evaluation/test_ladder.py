"""The ladder's rows on a small photograph."""

import pytest
import torch

from mcnet_lightning.backbones import load_backbone
from mcnet_lightning.baselines import TVTV
from mcnet_lightning.config.commands import METHODS
from mcnet_lightning.data import WholeImages, load_images
from mcnet_lightning.data.sources import EMBEDDED
from mcnet_lightning.evaluation.ladder import Estimate, Ladder
from mcnet_lightning.imaging import Degradation
from mcnet_lightning.layer_weights import load_layer

PROJECTED = ("bicubic+projection", "backbone+projection", "tvtv", "mcnet")


@pytest.fixture(scope="module")
def rows() -> tuple[Ladder, dict[str, object], list[Estimate]]:
    degradation = Degradation("paper", 2)
    image = WholeImages(load_images(EMBEDDED, "test")[:1], degradation, crop=48)[0]
    ladder = Ladder(
        load_backbone("srcnn", 2), load_layer(), degradation, 0.0, METHODS, torch.device("cpu"), TVTV(tolerance=1e-2)
    )
    return ladder, image, list(ladder.estimates(image))


def test_every_method_has_a_row_in_order(rows: tuple[Ladder, dict[str, object], list[Estimate]]) -> None:
    ladder, image, estimates = rows
    assert [ladder.measure(image, each).method for each in estimates] == list(METHODS)


def test_projected_methods_agree_with_the_measurement(
    rows: tuple[Ladder, dict[str, object], list[Estimate]],
) -> None:
    ladder, image, estimates = rows
    for each in estimates:
        distance = ladder.measure(image, each).consistency
        assert (distance <= 5e-5) == (each.method in PROJECTED)


def test_iterative_methods_say_how_they_ended(rows: tuple[Ladder, dict[str, object], list[Estimate]]) -> None:
    ladder, image, estimates = rows
    measured = {each.method: ladder.measure(image, each) for each in estimates}
    for method in METHODS:
        assert (measured[method].residual is not None) == (method in ("tvtv", "mcnet"))
    assert measured["tvtv"].psnr_y > measured["bicubic"].psnr_y

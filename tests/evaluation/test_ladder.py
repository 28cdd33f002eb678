"""The ladder's rows on a small photograph."""

import pytest
import torch

from mcnet_lightning.backbones import load_backbone
from mcnet_lightning.config.commands import METHODS
from mcnet_lightning.data import WholeImages, load_images
from mcnet_lightning.data.sources import EMBEDDED
from mcnet_lightning.evaluation.ladder import Estimate, Ladder
from mcnet_lightning.imaging import Degradation
from mcnet_lightning.methods import TVTV, PnP
from mcnet_lightning.model.layer_files import load_denoiser, load_layer

ITERATIVE = ("tvtv", "pnp", "mcnet")
PROJECTED = ("bicubic+projection", "backbone+projection", *ITERATIVE)


@pytest.fixture(scope="module")
def rows() -> tuple[Ladder, dict[str, object], list[Estimate]]:
    degradation = Degradation("paper", 2)
    image = WholeImages(load_images(EMBEDDED, "test")[:1], degradation, crop=48)[0]
    baselines = TVTV(tolerance=1e-2), PnP(load_denoiser("bundled"), tolerance=1e-3)
    ladder = Ladder(load_backbone("srcnn", 2), load_layer(), degradation, 0.0, METHODS, torch.device("cpu"), *baselines)
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
        assert (measured[method].residual is not None) == (method in ITERATIVE)
    assert measured["tvtv"].psnr_y > measured["bicubic"].psnr_y
    assert measured["pnp"].psnr_y > measured["bicubic"].psnr_y


def test_what_cannot_be_run_has_no_row() -> None:
    bare = Ladder(load_backbone("bicubic", 2), None, Degradation("paper", 2), 0.0, METHODS, torch.device("cpu"))
    assert bare.methods == [method for method in METHODS if method not in ("pnp", "mcnet")]

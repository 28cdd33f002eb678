"""The ladder's rows on a small photograph."""

from typing import Any

import pytest
import torch

from mcnet_lightning.backbones import load_backbone
from mcnet_lightning.data import WholeImages, load_images
from mcnet_lightning.data.sources import EMBEDDED
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.evaluation.ladder import Estimate, Ladder
from mcnet_lightning.methods import (
    TV,
    TVTV,
    Backbone,
    Bicubic,
    MCNetLayer,
    PnP,
    ProjectedBackbone,
    ProjectedBicubic,
    ProjectedStart,
    Start,
    Wavelet,
)
from mcnet_lightning.model.layer_files import load_denoiser, load_layer
from mcnet_lightning.problems.super_resolution import SuperResolution

ITERATIVE = ("wavelet", "tv", "tvtv", "pnp", "mcnet")
PROJECTED = ("bicubic+projection", "backbone+projection", *ITERATIVE)


@pytest.fixture(scope="module")
def rows() -> tuple[Ladder, dict[str, object], list[Estimate]]:
    degradation = SuperResolution("paper", 2)
    image = WholeImages(load_images(EMBEDDED, "test")[:1], degradation, crop=48)[0]
    quick: dict[str, Any] = {"tolerance": 1e-2, "max_steps": 1000}
    alone = (Bicubic(), ProjectedBicubic(), Wavelet(**quick), TV(**quick))
    networks = (Backbone(), ProjectedBackbone(), TVTV(**quick), PnP(load_denoiser("bundled"), 1e-3), MCNetLayer())
    methods = [*alone, *networks]
    ladder = Ladder(load_backbone("srcnn", 2), load_layer(), degradation, 0.0, methods, torch.device("cpu"))
    return ladder, image, list(ladder.estimates(image))


def test_every_method_has_a_row_in_order(rows: tuple[Ladder, dict[str, object], list[Estimate]]) -> None:
    ladder, image, estimates = rows
    assert [ladder.measure(image, each).method for each in estimates] == [method.name for method in ladder.methods]


def test_projected_methods_agree_with_the_measurement(
    rows: tuple[Ladder, dict[str, object], list[Estimate]],
) -> None:
    ladder, image, estimates = rows
    for each in estimates:
        distance = ladder.measure(image, each).consistency
        assert (distance <= 5e-5) == (each.method.name in PROJECTED)


def test_iterative_methods_say_how_they_ended(rows: tuple[Ladder, dict[str, object], list[Estimate]]) -> None:
    ladder, image, estimates = rows
    measured = {each.method.name: ladder.measure(image, each) for each in estimates}
    for name, record in measured.items():
        assert (record.residual is not None) == (name in ITERATIVE)
    assert measured["tvtv"].headline > measured["bicubic"].headline
    assert measured["pnp"].headline > measured["bicubic"].headline


def test_what_cannot_be_run_has_no_row() -> None:
    methods, problem = [Bicubic(), Backbone(), MCNetLayer()], SuperResolution("paper", 2)
    bare = Ladder(load_backbone("bicubic", 2), None, problem, 0.0, methods, torch.device("cpu"))
    assert bare.methods == methods[:2]
    with pytest.raises(ConfigError, match=r"method=\[mcnet\] needs a layer; choose one in layer.weights"):
        Ladder(load_backbone("bicubic", 2), None, problem, 0.0, methods[2:], torch.device("cpu"))


def test_without_a_method_that_needs_it_no_backbone_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = load_backbone("bicubic", 2)
    monkeypatch.setattr(backbone, "prior_image", None)
    problem = SuperResolution("paper", 2)
    ladder = Ladder(backbone, None, problem, 0.0, [Start(), ProjectedStart()], torch.device("cpu"))
    image = WholeImages(load_images(EMBEDDED, "test")[:1], problem, crop=24)[0]
    start, projected = ladder.estimates(image)
    assert torch.equal(start.image, image["observation"].start)
    assert ladder.measure(image, projected).consistency <= 5e-5
    assert start.headroom is None

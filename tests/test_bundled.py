"""What the package ships: complete, small, documented, and as good as its cards say."""

from pathlib import Path
from typing import Any

import pytest
import torch

from mcnet_lightning import AndersonSolver, BicubicDownsample, MCNet, load_backbone, load_layer
from mcnet_lightning.data import WholeImages, cut_patches, load_images
from mcnet_lightning.evaluation.metrics import consistency
from mcnet_lightning.files.weights import ASSETS
from mcnet_lightning.problems.quality import psnr
from mcnet_lightning.problems.super_resolution import SuperResolution

PUBLISHED_SRCNN_SET5 = {2: 36.65, 3: 33.36, 4: 30.33}
FILES = sorted(ASSETS.rglob("*.safetensors"))


def bundled_model(scale: int) -> MCNet:
    return MCNet(load_backbone("srcnn", scale), load_layer("bundled", "srcnn", scale), BicubicDownsample(scale))


def photograph(scale: int, side: int) -> dict[str, Any]:
    return WholeImages(load_images("photographs", "test"), SuperResolution("paper", scale), side)[0]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_backbone_and_layer_are_there_for_every_scale(scale: int) -> None:
    assert {f"backbones/srcnn_x{scale}", f"layers/srcnn_x{scale}"} <= {f"{p.parent.name}/{p.stem}" for p in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_file_is_small_and_has_card_and_curve(path: Path) -> None:
    assert path.stat().st_size < 4 * 2**20
    card = path.with_suffix(".md").read_text()
    assert "python -m mcnet_lightning." in card
    assert "seed 0" in card
    assert path.with_suffix(".csv").read_text().startswith("epoch,step,val/")


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bundled_srcnn_reaches_the_published_figure(shared: Path, scale: int) -> None:
    backbone = load_backbone("srcnn", scale)
    images = WholeImages(load_images("Set5", "test", str(shared / "data")), SuperResolution("paper", scale))
    figures = [
        psnr(backbone(image["observation"].inputs["upsampled"]), image["observation"].truth, scale)
        for image in (images[i] for i in range(5))
    ]
    assert torch.cat(figures).mean() >= PUBLISHED_SRCNN_SET5[scale] - 0.1


@pytest.mark.parametrize(
    ("name", "scale", "least"),
    [
        ("rcan", 4, 30.9),
        ("rdn", 4, 30.9),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in (("rcan", 2, 37.34), ("rdn", 2, 37.34))),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in (("rcan", 3, 34.3), ("rdn", 3, 34.1))),
    ],
)
def test_compact_networks_are_well_above_srcnn(shared: Path, name: str, scale: int, least: float) -> None:
    backbone = load_backbone(name, scale)
    images = WholeImages(load_images("Set5", "test", str(shared / "data")), SuperResolution("paper", scale))
    figures = [
        psnr(backbone.prior_image(image), image["observation"].truth, scale) for image in (images[i] for i in range(5))
    ]
    assert torch.cat(figures).mean() >= least


@pytest.mark.parametrize("name", ["rcan", "rdn"])
def test_a_backbone_in_half_precision_keeps_its_psnr(name: str) -> None:
    image = photograph(4, 128)
    figures = [
        psnr(load_backbone(name, 4, precision=precision).prior_image(image), image["observation"].truth, 4)
        for precision in ("float32", "bfloat16")
    ]
    assert abs(figures[0] - figures[1]) < 0.02


@pytest.mark.parametrize("scale", [2, 3, 4])
@torch.no_grad()
def test_bundled_layer_beats_backbone_and_projection_on_a_held_out_photograph(scale: int) -> None:
    image, model = photograph(scale, 144), bundled_model(scale)
    result = model(image["observation"].measurement, backbone_input=image["observation"].inputs["upsampled"])
    assert result.stats.converged.all()
    assert consistency(result.estimate, image["observation"].measurement, BicubicDownsample(scale)) <= 5e-5
    assert psnr(result.estimate, image["observation"].truth, scale) > psnr(
        result.prior_image, image["observation"].truth, scale
    )


@pytest.mark.parametrize(
    ("scale", "side"), [(3, 48), *(pytest.param(scale, 96, marks=pytest.mark.slow) for scale in (2, 3, 4))]
)
@torch.no_grad()
def test_psnr_stands_still_between_tolerance_1e5_and_1e7(scale: int, side: int) -> None:
    image, model = photograph(scale, side), bundled_model(scale)
    model = model.double()
    figures = []
    for tolerance in (1e-5, 1e-7):
        model.layer.solver = AndersonSolver(tolerance, max_evaluations=300)
        result = model(
            image["observation"].measurement.double(), backbone_input=image["observation"].inputs["upsampled"].double()
        )
        assert result.stats.converged.all()
        figures.append(psnr(result.estimate, image["observation"].truth, scale))
    assert abs(figures[0] - figures[1]) < 0.02


@torch.no_grad()
def test_a_sample_keeps_its_psnr_in_any_batch_in_single_precision() -> None:
    model = bundled_model(2)
    model.layer.solver.tolerance = 1e-6
    images = [image.rgb for image in load_images("photographs", "test")]
    patches = cut_patches(images, SuperResolution("paper", 2), size=48, stride=96, seed=0, limit=6)
    observed = patches.observation
    upsampled = observed.inputs["upsampled"]
    together = model(observed.measurement, backbone_input=upsampled)
    for i in range(len(patches)):
        alone = model(observed.measurement[i : i + 1], backbone_input=upsampled[i : i + 1])
        truth = observed.truth[i : i + 1]
        assert abs(psnr(alone.estimate, truth, 2) - psnr(together.estimate[i : i + 1], truth, 2)) <= 1e-3

"""Published networks and pictures reach their published PSNR, alone and under the layer: protocol `standard`, Set5."""

from pathlib import Path
from typing import Any

import pytest
import torch

from mcnet_lightning.backbones import FrozenBackbone, load_backbone
from mcnet_lightning.data import MeasurementDataModule, WholeImages
from mcnet_lightning.equilibrium import project_measurement_ball
from mcnet_lightning.evaluation.metrics import consistency
from mcnet_lightning.model.layer_files import load_layer
from mcnet_lightning.problems.quality import psnr
from mcnet_lightning.problems.super_resolution import SuperResolution

PICTURES = {("RCAN", 2): 38.27, ("RCAN", 3): 34.74, ("RCAN", 4): 32.63} | {
    ("RDN", 2): 38.24,
    ("RDN", 3): 34.71,
    ("RDN", 4): 32.47,
}
DCTLSA = {2: 38.29, 3: 34.73, 4: 32.55}


def mean_psnr(backbone: FrozenBackbone, images: WholeImages, scale: int) -> float:
    seen = (images[index] for index in range(len(images)))
    return float(
        torch.cat(
            [psnr(backbone.prior_image(image), image["observation"].truth, scale, "standard") for image in seen]
        ).mean()
    )


def exact_images(shared: Path, scale: int) -> WholeImages:
    """Set5 with LR in float: b = A x holds exactly."""
    degradation = SuperResolution("standard", scale, "truncated", quantise=False)
    return MeasurementDataModule(degradation, [], ["Set5"], str(shared / "data")).test_images()


def dctlsa(shared: Path, scale: int) -> FrozenBackbone:
    pytest.importorskip("spandrel")
    return load_backbone("spandrel", scale, str(shared / f"weights/dctlsa/dctlsa_x{scale}.pth"))


@pytest.mark.parametrize(("method", "scale"), PICTURES)
def test_published_pictures_against_their_own_lr_and_hr(shared: Path, method: str, scale: int) -> None:
    results = shared / "sr_results"
    images = MeasurementDataModule(
        SuperResolution("standard", scale, "replicate"),
        train=[],
        test=["Set5"],
        hr_folder=str(results / f"HR/Set5/x{scale}"),
        lr_folder=str(results / f"LRBI/Set5/x{scale}"),
    ).test_images()
    backbone = load_backbone("precomputed", scale, str(results / method))
    assert mean_psnr(backbone, images, scale) == pytest.approx(PICTURES[method, scale], abs=0.01)


def test_published_pictures_belong_to_the_lr_that_the_protocol_makes(shared: Path) -> None:
    degradation = SuperResolution("standard", 2, "replicate")
    images = MeasurementDataModule(degradation, [], ["Set5"], str(shared / "data")).test_images()
    backbone = load_backbone("precomputed", 2, str(shared / "sr_results/RCAN"))
    assert mean_psnr(backbone, images, 2) == pytest.approx(38.27, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_dctlsa_reaches_its_published_figure(shared: Path, scale: int) -> None:
    found = mean_psnr(dctlsa(shared, scale), exact_images(shared, scale), scale)
    assert found == pytest.approx(DCTLSA[scale], abs=0.03)


@torch.no_grad()
def test_projection_and_layer_on_dctlsa(shared: Path) -> None:
    """A crop of butterfly x4, b exact: HR is consistent, so projecting w can only bring all of it nearer, unclipped."""
    images, backbone = exact_images(shared, 4), dctlsa(shared, 4)
    images.crop = 128
    image: dict[str, Any] = images[2]
    assert image["name"] == "butterfly"
    w, b, truth = backbone.prior_image(image), image["observation"].measurement, image["observation"].truth
    operator = image["observation"].operator
    projected = project_measurement_ball(w, b, operator)
    assert (projected - truth).norm() <= (w - truth).norm()
    layer = load_layer("bundled:srcnn", scale=4).eval()
    result = layer(w, b, operator, 0.0)
    assert result.stats.converged.all()
    assert consistency(result.estimate, b, operator) <= 5e-5

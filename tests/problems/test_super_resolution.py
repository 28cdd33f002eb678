"""From HR to LR: the published LR files bit for bit, and what each protocol means."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from references import relative_error
from torch import Tensor

from mcnet_lightning.data import load_images
from mcnet_lightning.data.sources import EMBEDDED
from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.imaging import list_images, read_rgb, rgb_to_luma
from mcnet_lightning.imaging.colour import LUMA_WEIGHTS
from mcnet_lightning.operators import BlurDownsample
from mcnet_lightning.operators.blur import gaussian_kernel
from mcnet_lightning.operators.resize import Boundary
from mcnet_lightning.problems.perturbation import Perturbation
from mcnet_lightning.problems.rounding import floor_8bit, middle_of_floored
from mcnet_lightning.problems.super_resolution import ProtocolName, SuperResolution

scales = pytest.mark.parametrize("scale", [2, 3, 4])
protocols = pytest.mark.parametrize("protocol", ["paper", "standard"])


def picture(height: int, width: int) -> Tensor:
    """Random 8-bit RGB, (3, H, W)."""
    return torch.randint(0, 256, (3, height, width)) / 255


def differing_pixels(hr: Tensor, published: Path, scale: int, boundary: Boundary) -> int:
    degradation = SuperResolution("standard", scale, boundary=boundary)
    _, lr = degradation.downsample(degradation.fit(hr)[None])
    expected = read_rgb(published)
    assert lr[0].shape == expected.shape
    return int((torch.round(lr[0] * 255) != torch.round(expected * 255)).sum())


@scales
def test_replicate_makes_the_published_set5_files_bit_for_bit(shared: Path, scale: int) -> None:
    for hr in list_images(shared / f"sr_results/HR/Set5/x{scale}"):
        published = shared / f"sr_results/LRBI/Set5/x{scale}" / hr.name.replace("_HR_", "_LRBI_")
        assert differing_pixels(read_rgb(hr), published, scale, "replicate") == 0, hr.name


@scales
def test_symmetric_makes_the_published_set14_files_bit_for_bit(shared: Path, scale: int) -> None:
    for hr in list_images(shared / "data/test/Set14"):
        published = shared / f"sr_results/LRBI/Set14/x{scale}/{hr.stem}x{scale}.png"
        assert differing_pixels(read_rgb(hr), published, scale, "symmetric") == 0, hr.name


def test_standard_fit_crops_the_remainder() -> None:
    hr = picture(13, 11)
    assert torch.equal(SuperResolution("standard", 4).fit(hr), hr[:, :12, :8])


def test_paper_fit_resizes_as_pil_does() -> None:
    hr = picture(13, 11)
    pixels = Image.fromarray((hr * 255).round().byte().permute(1, 2, 0).numpy())
    expected = np.asarray(pixels.resize((8, 12), Image.Resampling.BICUBIC)) / 255
    np.testing.assert_allclose(SuperResolution("paper", 4).fit(hr).permute(1, 2, 0).numpy(), expected, atol=1e-6)


@protocols
def test_fit_leaves_a_multiple_alone(protocol: ProtocolName) -> None:
    hr = picture(12, 9)
    assert torch.equal(SuperResolution(protocol, 3).fit(hr), hr)


@protocols
def test_fit_refuses_what_is_too_small(protocol: ProtocolName) -> None:
    with pytest.raises(DataError, match="3 x 9 pixels is too small for x4"):
        SuperResolution(protocol, 4).fit(picture(3, 9))


@scales
def test_paper_lr_is_torch_bicubic_floored(scale: int) -> None:
    hr = picture(6 * scale, 5 * scale)[None]
    expected = F.interpolate(hr.double(), scale_factor=1 / scale, mode="bicubic", antialias=True).clamp(0, 1)
    lr = SuperResolution("paper", scale).observe(hr.double()).inputs["lr_rgb"]
    assert torch.equal((lr * 255).round(), torch.floor(expected * 255 + 1e-6))  # random pixels hit exact levels too


@scales
@protocols
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_flat_images_keep_their_level(protocol: ProtocolName, scale: int, dtype: torch.dtype) -> None:
    """Every level is exact; rounding must not floor it to the one below."""
    levels = torch.arange(256, dtype=dtype).view(256, 1, 1, 1)
    flat = (levels / 255).expand(256, 3, 4 * scale, 4 * scale)
    observation = SuperResolution(protocol, scale).observe(flat)
    assert torch.equal((observation.inputs["lr_rgb"] * 255).round(), levels.expand_as(observation.inputs["lr_rgb"]))
    torch.testing.assert_close(
        observation.inputs["upsampled"], observation.truth, rtol=0, atol=1e-6 if dtype == torch.float32 else 1e-12
    )


def test_paper_input_of_srcnn_comes_from_the_unrounded_lr() -> None:
    hr = picture(12, 10)[None].double()
    lr = F.interpolate(hr, scale_factor=1 / 2, mode="bicubic", antialias=True)
    enlarged = F.interpolate(lr, scale_factor=2, mode="bicubic", antialias=True)
    expected = rgb_to_luma(torch.floor(enlarged.clamp(0, 1) * 255 + 1e-6) / 255)
    assert relative_error(SuperResolution("paper", 2).observe(hr).inputs["upsampled"], expected) <= 1e-12


@protocols
@pytest.mark.parametrize("quantise", [True, False])
def test_measurement_is_the_luma_of_lr(protocol: ProtocolName, quantise: bool) -> None:
    observation = SuperResolution(protocol, 2, quantise=quantise).observe(picture(12, 10)[None])
    assert torch.equal(observation.measurement, rgb_to_luma(observation.inputs["lr_rgb"]))


@protocols
@scales
def test_unquantised_measurement_is_the_operator_on_the_truth(protocol: ProtocolName, scale: int) -> None:
    degradation = SuperResolution(protocol, scale, quantise=False)
    observation = degradation.observe(picture(6 * scale, 5 * scale)[None].double())
    assert relative_error(observation.measurement, degradation.operator(observation.truth)) <= 1e-14


@protocols
def test_quantised_lr_has_256_levels(protocol: ProtocolName) -> None:
    levels = SuperResolution(protocol, 2).observe(picture(12, 10)[None].double()).inputs["lr_rgb"] * 255
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-12)


@protocols
def test_batches_are_degraded_image_by_image(protocol: ProtocolName) -> None:
    images = torch.stack([picture(12, 10) for _ in range(3)])
    degradation = SuperResolution(protocol, 2)
    together = degradation.observe(images)
    for index in range(3):
        alone = degradation.observe(images[[index]])
        for seen, tensor in zip(together.select(torch.tensor([index])).tensors(), alone.tensors(), strict=True):
            torch.testing.assert_close(seen, tensor, rtol=0, atol=1e-6)


def test_flooring_to_8_bit() -> None:
    values = torch.tensor([-3.0, 1.2, 1.5, 2.5, 300.0], dtype=torch.float64) / 255
    assert (floor_8bit(values) * 255).round().tolist() == [0, 1, 1, 2, 255]


def test_name_tells_every_chain_apart() -> None:
    chains = [
        SuperResolution("paper", 2),
        SuperResolution("standard", 2),
        SuperResolution("standard", 3),
        SuperResolution("standard", 2, boundary="replicate"),
        SuperResolution("standard", 2, quantise=False),
    ]
    assert len({(chain.label, chain.operator_name) for chain in chains}) == len(chains)


def test_unknown_protocol_is_refused_with_the_known_ones() -> None:
    unknown: Any = "matlab"
    with pytest.raises(ConfigError, match="use one of paper, standard"):
        SuperResolution(unknown, 2)


def test_a_measured_lr_is_taken_as_it_is() -> None:
    degradation, hr, lr = SuperResolution("standard", 2), torch.rand(1, 3, 12, 16), torch.rand(1, 3, 6, 8)
    seen = degradation.measured(hr, lr)
    assert torch.equal(seen.measurement, rgb_to_luma(lr))
    assert torch.equal(seen.inputs["lr_rgb"], lr)
    assert torch.equal(seen.truth, rgb_to_luma(hr))
    assert seen.inputs["upsampled"].shape == seen.truth.shape


def test_a_measured_lr_of_another_size_is_refused() -> None:
    with pytest.raises(DataError, match="has an LR of 6 x 8 at x2, not 6 x 7"):
        SuperResolution("standard", 2).measured(torch.rand(1, 3, 12, 16), torch.rand(1, 3, 6, 7))


def test_middle_of_a_floored_value_is_half_a_level_up_where_nothing_was_clipped() -> None:
    levels = torch.tensor([[0.0, 1.0, 128.0, 254.0, 255.0]], dtype=torch.float64)
    assert (middle_of_floored(levels / 255) * 255).tolist() == [pytest.approx([0, 1.5, 128.5, 254.5, 255])]
    assert (middle_of_floored(levels[:, 1:3] / 65535, 65535) * 65535).tolist() == [pytest.approx([1.5, 128.5])]
    with pytest.raises(DataError, match="values between the 256 levels"):
        middle_of_floored(levels / 255 + 0.001)


def test_midpoint_moves_b_by_half_a_level_of_every_colour_and_nothing_else() -> None:
    hr = 0.2 + 0.6 * torch.rand(1, 3, 12, 16, dtype=torch.float64)
    plain, middle = (SuperResolution("paper", 2, dequantise=word).observe(hr) for word in ("none", "midpoint"))
    moved = (middle.measurement - plain.measurement) * 255
    assert torch.allclose(moved, torch.full_like(moved, 0.5 * sum(LUMA_WEIGHTS)))  # 0.43 levels
    assert torch.equal(middle.inputs["lr_rgb"], plain.inputs["lr_rgb"])
    assert torch.equal(middle.inputs["upsampled"], plain.inputs["upsampled"])
    measured = SuperResolution("paper", 2, dequantise="midpoint").measured(hr, plain.inputs["lr_rgb"])
    assert torch.allclose(measured.measurement, middle.measurement)


@pytest.mark.parametrize("perturbation", [None, Perturbation(operator="pillow")], ids=["none", "pillow"])
def test_midpoint_of_the_nearest_level_is_that_level(perturbation: Perturbation | None) -> None:
    hr = picture(12, 16)[None]
    protocol: ProtocolName = "standard" if perturbation is None else "paper"
    problem = partial(SuperResolution, protocol, 2, perturbation=perturbation)
    plain, middle = problem(dequantise="none").observe(hr), problem(dequantise="midpoint").observe(hr)
    assert torch.equal(middle.measurement, plain.measurement)


def test_label_and_cache_name_tell_the_middle_from_the_level() -> None:
    perturbed = SuperResolution("paper", 2, perturbation=Perturbation(noise=2.0), dequantise="midpoint")
    assert perturbed.label == "paper-midpoint+noise2"
    assert SuperResolution("paper", 2, dequantise="midpoint").label != SuperResolution("paper", 2).label
    with pytest.raises(ConfigError, match=r"protocol\.quantise=false leaves it unrounded"):
        SuperResolution("paper", 2, quantise=False, dequantise="midpoint")
    unknown: Any = "half"
    with pytest.raises(ConfigError, match="dequantise='half' is unknown"):
        SuperResolution("paper", 2, dequantise=unknown)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        ("paper", {}),
        ("paper", {"dequantise": "midpoint"}),
        ("standard", {}),
        ("paper", {"quantise": False, "perturbation": Perturbation(noise=3.0)}),
        ("standard", {"perturbation": Perturbation(noise=3.0)}),
    ],
    ids=["floored", "middle", "two roundings", "noise", "noise and roundings"],
)
def test_noise_model_is_what_is_measured_on_a_photograph(
    protocol: ProtocolName, words: dict[str, Any], scale: int
) -> None:
    degradation = SuperResolution(protocol, scale, **words)
    rgb = load_images(EMBEDDED, "test")[2].rgb.double()
    seen = degradation.observe(degradation.fit(rgb)[None])
    distance = (degradation.operator(seen.truth) - seen.measurement).square().mean().sqrt()
    assert degradation.noise_deviation == pytest.approx(float(distance), rel=0.06)


def test_nothing_rounded_and_nothing_added_is_no_noise() -> None:
    assert SuperResolution("paper", 2, quantise=False).noise_deviation == 0


def test_deep_images_stay_deep_when_they_are_fitted() -> None:
    """Resized by PIL as floats: within what 8 bit would round, and finer than that."""
    deep = torch.rand(3, 15, 17, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    fitted = SuperResolution("paper", 2).fit(deep)
    rounded = SuperResolution("paper", 2).fit(torch.round(deep * 255) / 255)
    assert fitted.shape == rounded.shape == (3, 14, 16)
    assert (fitted - rounded).abs().max() < 1.5 / 255
    assert (fitted * 255 - (fitted * 255).round()).abs().max() > 0.4


@pytest.mark.parametrize("protocol", ["paper", "standard"])
def test_any_operator_of_the_right_size_makes_lr(protocol: ProtocolName) -> None:
    hr = (
        torch.round(torch.rand(1, 3, 24, 36, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 255)
        / 255
    )
    blur = BlurDownsample(gaussian_kernel(1.6), 3)
    exact = SuperResolution(protocol, 3, quantise=False, operator=blur)
    assert torch.equal(exact.observe(hr).inputs["lr_rgb"], blur(hr))
    rounded = SuperResolution(protocol, 3, operator=blur)
    assert rounded.operator_name.endswith(blur.name)
    levels = blur(hr).clamp(0, 1) * 255
    expected = torch.floor(levels + 1e-6) if protocol == "paper" else levels.round()
    torch.testing.assert_close(rounded.observe(hr).inputs["lr_rgb"] * 255, expected, rtol=0, atol=1e-9)


def test_an_operator_of_another_size_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"measures images \(1, 3, 12, 12\) as \(1, 3, 4, 4\), and super-resolution"):
        SuperResolution("paper", 2, operator=BlurDownsample(gaussian_kernel(1.0), 3)).observe(torch.rand(1, 3, 12, 12))

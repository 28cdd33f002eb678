"""Training patches: turned first, degraded then, the same for the same seed."""

from typing import Any

import pytest
import torch
from references import relative_error, uniform
from torch import Tensor

from mcnet_lightning.data import TrainingSet, cut_patches, orient
from mcnet_lightning.errors import DataError
from mcnet_lightning.imaging import rgb_to_luma
from mcnet_lightning.operators.resize import Boundary
from mcnet_lightning.problems import Observation
from mcnet_lightning.problems.super_resolution import ProtocolName, SuperResolution

FIELDS = ("truth", "measurement", "lr_rgb", "upsampled")


def field(observation: Observation, name: str) -> Tensor:
    return (
        observation.inputs[name] if name in observation.inputs and name != "measurement" else getattr(observation, name)
    )


def images() -> list[Tensor]:
    return [uniform(3, 30, 42), uniform(3, 26, 24), uniform(3, 10, 40)]  # the last one is too small


def cut(seed: int = 0, **options: Any) -> TrainingSet:
    torch.manual_seed(0)
    settings = {"problem": SuperResolution("standard", 2, quantise=False), "size": 12, "stride": 12, **options}
    return cut_patches(images(), seed=seed, **settings)


@pytest.mark.parametrize("name", FIELDS)
def test_same_seed_gives_the_same_patches(name: str) -> None:
    assert torch.equal(field(cut(seed=5).observation, name), field(cut(seed=5).observation, name))
    assert not torch.equal(field(cut(seed=5).observation, name), field(cut(seed=6).observation, name))


def test_seed_of_the_patches_is_not_the_global_one() -> None:
    torch.manual_seed(0)
    pictures, degradation = images(), SuperResolution("standard", 2)
    first = cut_patches(pictures, degradation, 12, 12, seed=5)
    torch.manual_seed(99)
    assert torch.equal(cut_patches(pictures, degradation, 12, 12, seed=5).observation.truth, first.observation.truth)


@pytest.mark.parametrize("boundary", ["truncated", "symmetric"])
@pytest.mark.parametrize("protocol", ["paper", "standard"])
def test_every_measurement_belongs_to_its_own_patch(protocol: ProtocolName, boundary: Boundary) -> None:
    """b = A x holds patch by patch, so degradation came after cutting and turning."""
    degradation = SuperResolution(protocol, 2, boundary, quantise=False)
    patches = cut(problem=degradation)
    assert relative_error(patches.observation.measurement, degradation.operator(patches.observation.truth)) <= 1e-14


def test_quantised_patches_are_degraded_after_turning() -> None:
    """Two passes of rounding do not commute with a quarter turn."""
    torch.manual_seed(0)
    picture, degradation = torch.randint(0, 256, (3, 48, 48)) / 255, SuperResolution("standard", 2)
    patches = cut_patches([picture], degradation, 48, 48, seed=1)
    turned = [orient(picture, orientation)[None] for orientation in range(8)]
    (own,) = [hr for hr in turned if torch.equal(rgb_to_luma(hr), patches.observation.truth)]
    assert torch.equal(degradation.observe(own).measurement, patches.observation.measurement)
    assert not torch.equal(own[0], picture)


def test_all_patches_of_the_grid_are_cut_once() -> None:
    patches = cut()
    assert len(patches) == 2 * 3 + 2 * 2
    means = patches.observation.truth.mean(dim=(1, 2, 3))
    torch.manual_seed(0)
    expected = [
        rgb_to_luma(image[:, row : row + 12, column : column + 12]).mean()
        for image in images()[:2]
        for row in range(0, image.shape[1] - 11, 12)
        for column in range(0, image.shape[2] - 11, 12)
    ]
    torch.testing.assert_close(means.sort().values, torch.stack(expected).sort().values, rtol=1e-12, atol=0)


def test_limit_keeps_a_random_subset() -> None:
    everything, some = cut(), cut(limit=4)
    assert len(some) == 4
    assert torch.isin(
        some.observation.truth.mean(dim=(1, 2, 3)).round(decimals=10),
        everything.observation.truth.mean(dim=(1, 2, 3)).round(decimals=10),
    ).all()


def test_overlapping_stride_gives_more() -> None:
    assert len(cut(stride=6)) > 3 * len(cut())


def test_every_orientation_occurs() -> None:
    """A patch that looks different in all eight, many times over."""
    tile = uniform(3, 4, 4)
    patches = cut_patches([tile.repeat(1, 20, 20)], SuperResolution("standard", 2, quantise=False), 4, 4, seed=0)
    assert len(patches.observation.truth.flatten(1).unique(dim=0)) == 8


def test_orientations_are_the_symmetries_of_the_square() -> None:
    tile = torch.arange(9.0).view(1, 3, 3)
    group = [orient(tile, index) for index in range(8)]
    assert torch.equal(group[0], tile)
    assert len({tuple(image.flatten().tolist()) for image in group}) == 8
    for image in group:  # closed under composition
        for index in range(8):
            assert any(torch.equal(orient(image, index), other) for other in group)


def test_indexing_with_a_list_gives_a_batch() -> None:
    patches = cut()
    batch = patches.__getitems__([3, 1])
    assert all(
        torch.equal(field(batch["observation"], name), field(patches.observation, name)[[3, 1]]) for name in FIELDS
    )
    assert batch["index"].tolist() == [3, 1]
    assert "prior_image" not in batch
    patches.prior_image = patches.observation.start
    assert torch.equal(patches.__getitems__([3, 1])["prior_image"], patches.observation.start[[3, 1]])


def test_digest_follows_what_a_backbone_sees() -> None:
    assert cut(seed=1).digest() == cut(seed=1).digest() != cut(seed=2).digest()
    altered = cut(seed=1)
    altered.observation.inputs["lr_rgb"][0, 0, 0, 0] += 1e-9
    assert altered.digest() != cut(seed=1).digest()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 13}, r"patch_size=13 is no multiple of scale=2; use 12"),
        ({"size": 100}, r"no training image is as large as data\.patch_size=100"),
    ],
    ids=str,
)
def test_impossible_geometry_is_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        cut(**options)


def test_a_margin_is_seen_around_the_patch_and_not_measured() -> None:
    """b is of the patch alone; what is around it is that of the image."""
    patches = cut(size=8, margin=4)
    assert patches.surroundings is not None
    assert torch.equal(patches.surroundings.truth[..., 4:-4, 4:-4], patches.observation.truth)
    assert patches.observation.truth.shape[-2:] == (8, 8)
    own = patches.observation.operator(patches.observation.truth)
    assert relative_error(patches.observation.measurement, own) <= 1e-14
    assert patches.digest() != cut(size=8, stride=12).digest()


@pytest.mark.parametrize(
    ("options", "said"),
    [({"margin": 3}, "data.patch_margin=3 is no multiple of scale=2; use 2"), ({"margin": 24}, "data.patch_margin=24")],
)
def test_a_margin_that_cannot_be_had(options: dict[str, int], said: str) -> None:
    with pytest.raises(DataError, match=said):
        cut(**options)

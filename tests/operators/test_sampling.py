"""Masks of k-space: their rate, their symmetry, their seed, and files of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.operators.fourier import mirrored
from mcnet_lightning.operators.sampling import Cartesian, MaskFile, Mixed, PoissonDisc, Radial, Sampling, read_mask

SIZE = (64, 48)
patterns = pytest.mark.parametrize(
    ("pattern", "rate"),
    [
        (Cartesian(4, 0.08), 0.25),
        (Cartesian(8, 0.04), 0.125),
        (Radial(0.1), 0.1),
        (Radial(0.2), 0.2),
        (PoissonDisc(0.2), 0.2),
    ],
    ids=lambda value: getattr(value, "name", None),
)


@patterns
def test_the_rate_is_kept_and_the_middle_measured(pattern: Sampling, rate: float) -> None:
    for seed in range(2):
        mask = pattern.mask(SIZE, np.random.default_rng(seed))
        assert mask.shape == SIZE
        assert set(mask.unique().tolist()) == {0.0, 1.0}
        assert float(mask.mean()) == pytest.approx(rate, abs=0.02)
        assert mask[32, 24] == 1


@patterns
def test_a_mask_comes_from_its_random_numbers_alone(pattern: Sampling, rate: float) -> None:
    first, again, other = (pattern.mask(SIZE, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_cartesian_measures_whole_columns_and_the_share_of_the_centre() -> None:
    mask = Cartesian(4, 0.08).mask((10, 100), np.random.default_rng(0))
    assert (mask == mask[:1]).all()
    assert mask[0].sum() == 25
    assert mask[0, 46:54].all()


def test_a_mixture_has_columns_and_other_masks_at_many_rates() -> None:
    masks = [Mixed().mask((32, 40), np.random.default_rng(seed)) for seed in range(24)]
    assert torch.equal(masks[3], Mixed().mask((32, 40), np.random.default_rng(3)))
    columns = [bool((mask == mask[:1]).all()) for mask in masks]
    assert 0 < sum(columns) < 24
    rates = [float(mask.mean()) for mask, whole in zip(masks, columns, strict=True) if not whole]
    assert 0.08 < min(rates) < 0.17 < 0.23 < max(rates) < 0.32


def test_radial_masks_are_point_symmetric() -> None:
    mask = Radial(0.2).mask((33, 40), np.random.default_rng(10))
    assert torch.equal(mask, mirrored(mask))


def test_samples_of_poisson_discs_keep_their_distance() -> None:
    mask = PoissonDisc(0.15).mask((64, 64), np.random.default_rng(0))
    outer = mask[:12, :12]
    rows, columns = torch.nonzero(outer, as_tuple=True)
    distance = torch.maximum((rows[:, None] - rows).abs(), (columns[:, None] - columns).abs())
    assert distance[distance > 0].min() >= 2
    assert mask[29:36, 29:36].all()


@pytest.mark.parametrize("pattern", [lambda: Cartesian(2, 0.6), lambda: Radial(0.0), lambda: PoissonDisc(1.2)])
def test_impossible_rates_are_refused(pattern: Callable[[], object]) -> None:
    with pytest.raises(ConfigError):
        pattern()


@pytest.mark.parametrize("suffix", [".npy", ".png", ".mat", ".txt"])
@pytest.mark.parametrize("centred", [True, False])
def test_files_of_masks_are_read_with_the_zero_frequency_in_the_middle(
    tmp_path: Path, suffix: str, centred: bool
) -> None:
    mask = Radial(0.3).mask((24, 20), np.random.default_rng(0))
    stored = (mask if centred else torch.fft.ifftshift(mask)).numpy().astype(np.uint8)
    path = tmp_path / f"mask{suffix}"
    if suffix == ".npy":
        np.save(path, stored)
    elif suffix == ".png":
        Image.fromarray(255 * stored).save(path)
    elif suffix == ".mat":
        savemat(path, {"mask_matrix": stored})
    else:
        np.savetxt(path, stored, fmt="%d")
    assert torch.equal(MaskFile(str(path)).mask((24, 20), np.random.default_rng(23)), mask)
    assert MaskFile(str(path)).corner is not centred
    with pytest.raises(ConfigError, match=r"\(24, 20\).*\(20, 24\)"):
        MaskFile(str(path)).mask((20, 24), np.random.default_rng(23))


def test_a_file_that_is_no_mask_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "gray.npy", np.linspace(0, 1, 20).reshape(4, 5))
    with pytest.raises(ConfigError, match="0 and 1"):
        read_mask(str(tmp_path / "gray.npy"))
    with pytest.raises(DataError, match="no file"):
        read_mask(str(tmp_path / "none.npy"))

"""Backbone outputs are computed once, and only for what they were computed from."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mcnet_lightning.backbones import BackboneSpec, FrozenBackbone, InputKind
from mcnet_lightning.data import PatchSet, cached_prior
from mcnet_lightning.downloads import cache_folder
from mcnet_lightning.errors import WeightsError
from mcnet_lightning.imaging import rgb_to_luma


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.images = 0

    def forward(self, image: Tensor) -> Tensor:
        self.images += len(image)
        return image.mean(dim=1, keepdim=True) + 1


def backbone(kind: InputKind = "upsampled", sha256: str = "a" * 64, scale: int = 2) -> FrozenBackbone:
    return FrozenBackbone(Counting(), BackboneSpec("counting", scale, kind, "path", sha256))


@pytest.fixture
def patches() -> PatchSet:
    sizes = {"truth": (1, 8), "truth_rgb": (3, 8), "measurement": (1, 4), "lr_rgb": (3, 4), "upsampled": (1, 8)}
    return PatchSet(**{name: torch.rand(5, channels, side, side) for name, (channels, side) in sizes.items()})


def test_second_visit_reads_what_the_first_computed(patches: PatchSet, tmp_path: Path) -> None:
    first, second = backbone(), backbone()
    computed = cached_prior(first, patches, tmp_path, batch_size=2)
    read = cached_prior(second, patches, tmp_path)
    assert torch.equal(computed, patches.upsampled + 1)
    assert torch.equal(read, computed)
    assert (first.network.images, second.network.images) == (5, 0)


@pytest.mark.parametrize("kind", ["upsampled", "lr_rgb"])
def test_backbone_gets_its_kind_of_input(patches: PatchSet, tmp_path: Path, kind: InputKind) -> None:
    expected = getattr(patches, kind).mean(dim=1, keepdim=True) + 1
    assert torch.equal(cached_prior(backbone(kind), patches, tmp_path), expected)


@pytest.mark.parametrize("change", ["weights", "scale", "pixel", "count", "order"])
def test_any_change_misses(patches: PatchSet, tmp_path: Path, change: str) -> None:
    cached_prior(backbone(), patches, tmp_path)
    other = backbone(sha256="b" * 64) if change == "weights" else backbone(scale=3 if change == "scale" else 2)
    if change == "pixel":
        patches.upsampled[0, 0, 0, 0] += 1e-6
    elif change in ("count", "order"):
        rows = [0, 1, 2, 3] if change == "count" else [4, 3, 2, 1, 0]
        patches = PatchSet(**{name: tensor[rows] for name, tensor in vars(patches).items() if tensor is not None})
    cached_prior(other, patches, tmp_path)
    assert other.network.images == len(patches)


def test_truth_is_no_part_of_the_key(patches: PatchSet, tmp_path: Path) -> None:
    cached_prior(backbone(), patches, tmp_path)
    again = backbone()
    cached_prior(again, replace(patches, truth=patches.truth + 1), tmp_path)
    assert again.network.images == 0


def test_luma_of_lr_is_seen_also_where_b_is_something_else(patches: PatchSet, tmp_path: Path) -> None:
    expected = rgb_to_luma(patches.lr_rgb) + 1
    patches.measurement += 0.5
    assert torch.equal(cached_prior(backbone("measurement"), patches, tmp_path), expected)


def test_nan_is_refused_and_neither_kept_nor_read(patches: PatchSet, tmp_path: Path) -> None:
    cached_prior(backbone(), patches, tmp_path)
    (file,) = tmp_path.rglob("*.safetensors")
    save_file({"prior_image": torch.full((5, 1, 8, 8), torch.nan)}, file)
    assert torch.equal(cached_prior(backbone(), patches, tmp_path), patches.upsampled + 1)
    broken = backbone(sha256="b" * 64)
    broken.network.forward = lambda image: image / 0  # type: ignore[method-assign]
    with pytest.raises(WeightsError, match="counting holds NaN or Inf"):
        cached_prior(broken, patches, tmp_path)
    assert list(tmp_path.rglob("*.safetensors")) == [file]


def test_nothing_half_written_stays(patches: PatchSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die_half_way(_: object, target: Path) -> None:
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mcnet_lightning.data.cache.save_file", die_half_way)
        with pytest.raises(KeyboardInterrupt):
            cached_prior(backbone(), patches, tmp_path)
    assert torch.equal(cached_prior(backbone(), patches, tmp_path), patches.upsampled + 1)


def test_folder_is_the_given_one_else_that_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCNET_CACHE", str(tmp_path / "environment"))
    assert cache_folder(str(tmp_path / "given")) == tmp_path / "given"
    assert cache_folder() == tmp_path / "environment"
    monkeypatch.delenv("MCNET_CACHE")
    assert cache_folder().name == "mcnet_lightning"

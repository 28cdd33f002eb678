"""Backbone outputs are computed once, and only for what they were computed from."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mcnet_lightning.backbones import BackboneSpec, FrozenBackbone, InputKind
from mcnet_lightning.data import TrainingSet, cached_prior, cut_patches
from mcnet_lightning.errors import WeightsError
from mcnet_lightning.files.downloads import cache_folder
from mcnet_lightning.imaging import rgb_to_luma
from mcnet_lightning.operators import BicubicDownsample
from mcnet_lightning.problems import Observation
from mcnet_lightning.problems.super_resolution import SuperResolution


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.images = 0

    def forward(self, image: Tensor) -> Tensor:
        self.images += len(image)
        return image.mean(dim=1, keepdim=True) + 1


def seen_by(frozen: FrozenBackbone) -> int:
    """How many images its network was given."""
    assert isinstance(frozen.network, Counting)
    return frozen.network.images


def backbone(kind: InputKind = "upsampled", sha256: str = "a" * 64, scale: int = 2) -> FrozenBackbone:
    return FrozenBackbone(Counting(), BackboneSpec("counting", scale, kind, "path", sha256))


@pytest.fixture
def patches() -> TrainingSet:
    sizes = {"truth": (1, 8), "measurement": (1, 4), "lr_rgb": (3, 4), "upsampled": (1, 8)}
    made = {name: torch.rand(5, channels, side, side) for name, (channels, side) in sizes.items()}
    inputs = {"start": made["upsampled"], "upsampled": made["upsampled"], "lr_rgb": made["lr_rgb"]}
    inputs["measurement"] = rgb_to_luma(made["lr_rgb"])
    return TrainingSet(Observation(made["truth"], made["measurement"], BicubicDownsample(2), inputs))


def test_second_visit_reads_what_the_first_computed(patches: TrainingSet, tmp_path: Path) -> None:
    first, second = backbone(), backbone()
    computed = cached_prior(first, patches, tmp_path, batch_size=2)
    read = cached_prior(second, patches, tmp_path)
    assert torch.equal(computed, patches.observation.start + 1)
    assert torch.equal(read, computed)
    assert (seen_by(first), seen_by(second)) == (5, 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_computes_what_the_cpu_does(patches: TrainingSet, tmp_path: Path) -> None:
    computed = cached_prior(backbone(), patches, tmp_path, "cuda")
    assert computed.device.type == "cpu"
    assert torch.equal(computed, patches.observation.start + 1)


@pytest.mark.parametrize("kind", ["upsampled", "lr_rgb"])
def test_backbone_gets_its_kind_of_input(patches: TrainingSet, tmp_path: Path, kind: InputKind) -> None:
    expected = patches.observation.inputs[kind].mean(dim=1, keepdim=True) + 1
    assert torch.equal(cached_prior(backbone(kind), patches, tmp_path), expected)


class Blurring(nn.Module):
    """Each pixel's mean with its neighbours, zeros beyond the border: what a network does to the edges of a patch."""

    def forward(self, image: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(image, 5, 1, 2)


def test_with_a_margin_a_patch_has_the_output_of_the_whole_image(tmp_path: Path) -> None:
    torch.manual_seed(0)
    picture, problem = torch.rand(3, 16, 16), SuperResolution("standard", 2, quantise=False, boundary="truncated")
    network = FrozenBackbone(Blurring(), BackboneSpec("blurring", 2, "upsampled", "path", "a" * 64))
    patches = cut_patches([picture], problem, 8, 8, seed=0, margin=4)
    assert patches.surroundings is not None
    whole = network.of(patches.surroundings)
    assert torch.equal(cached_prior(network, patches, tmp_path), whole[..., 4:-4, 4:-4])
    assert not torch.allclose(network.of(patches.observation), whole[..., 4:-4, 4:-4], atol=1e-2)


@pytest.mark.parametrize("change", ["weights", "scale", "pixel", "count", "order"])
def test_any_change_misses(patches: TrainingSet, tmp_path: Path, change: str) -> None:
    cached_prior(backbone(), patches, tmp_path)
    other = backbone(sha256="b" * 64) if change == "weights" else backbone(scale=3 if change == "scale" else 2)
    if change == "pixel":
        patches.observation.start[0, 0, 0, 0] += 1e-6
    elif change in ("count", "order"):
        rows = [0, 1, 2, 3] if change == "count" else [4, 3, 2, 1, 0]
        patches = TrainingSet(patches.observation.select(torch.tensor(rows)))
    cached_prior(other, patches, tmp_path)
    assert seen_by(other) == len(patches)


def test_truth_is_no_part_of_the_key(patches: TrainingSet, tmp_path: Path) -> None:
    cached_prior(backbone(), patches, tmp_path)
    again = backbone()
    other_truth = replace(patches.observation, truth=patches.observation.truth + 1)
    cached_prior(again, replace(patches, observation=other_truth), tmp_path)
    assert seen_by(again) == 0


def test_luma_of_lr_is_seen_also_where_b_is_something_else(patches: TrainingSet, tmp_path: Path) -> None:
    expected = rgb_to_luma(patches.observation.inputs["lr_rgb"]) + 1
    patches.observation.measurement.add_(0.5)
    assert torch.equal(cached_prior(backbone("measurement"), patches, tmp_path), expected)


def test_nan_is_refused_and_neither_kept_nor_read(patches: TrainingSet, tmp_path: Path) -> None:
    cached_prior(backbone(), patches, tmp_path)
    (file,) = tmp_path.rglob("*.safetensors")
    save_file({"prior_image": torch.full((5, 1, 8, 8), torch.nan)}, file)
    assert torch.equal(cached_prior(backbone(), patches, tmp_path), patches.observation.start + 1)
    broken = backbone(sha256="b" * 64)
    broken.network.forward = lambda image: image / 0
    with pytest.raises(WeightsError, match="counting holds NaN or Inf"):
        cached_prior(broken, patches, tmp_path)
    assert list(tmp_path.rglob("*.safetensors")) == [file]


def entry(folder: Path) -> Path:
    (path,) = (folder / "prior_images").iterdir()
    return path


def test_nothing_half_written_stays(patches: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die_half_way(target: Path, content: bytes) -> None:
        with target.open("wb") as out:
            out.write(content[:4])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", die_half_way)
        with pytest.raises(KeyboardInterrupt):
            cached_prior(backbone(), patches, tmp_path)
    assert not list((tmp_path / "prior_images").iterdir())
    assert torch.equal(cached_prior(backbone(), patches, tmp_path), patches.observation.start + 1)


def test_an_entry_that_was_changed_is_computed_again(
    patches: TrainingSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = cached_prior(backbone(), patches, tmp_path)
    good, chance = entry(tmp_path).read_bytes(), random.Random(0)
    for case in range(20):
        damaged = bytearray(good)
        if case % 2:
            damaged = damaged[: chance.randrange(len(good))]
        else:
            damaged[chance.randrange(len(good))] ^= 1 << chance.randrange(8)
        entry(tmp_path).write_bytes(damaged)
        again = backbone()
        assert torch.equal(cached_prior(again, patches, tmp_path), expected)
        assert again.network.images == 5
        assert "is damaged; the backbone's outputs are computed again" in capsys.readouterr().err
        assert entry(tmp_path).read_bytes() == good


def test_an_entry_without_a_digest_is_not_believed(patches: TrainingSet, tmp_path: Path) -> None:
    expected = cached_prior(backbone(), patches, tmp_path)
    save_file({"prior_image": torch.zeros_like(expected)}, entry(tmp_path))  # as earlier versions wrote it
    assert torch.equal(cached_prior(backbone(), patches, tmp_path), expected)


@pytest.mark.parametrize("place", ["file", "/proc/nothing"])
def test_a_cache_that_cannot_be_written_costs_time_only(
    patches: TrainingSet, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / place
    assert torch.equal(cached_prior(backbone(), patches, folder), patches.observation.start + 1)
    assert "outputs are not kept for the next training" in capsys.readouterr().err


def test_folder_is_the_given_one_else_that_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCNET_CACHE", str(tmp_path / "environment"))
    assert cache_folder(str(tmp_path / "given")) == tmp_path / "given"
    assert cache_folder() == tmp_path / "environment"
    monkeypatch.delenv("MCNET_CACHE")
    assert cache_folder().name == "mcnet_lightning"

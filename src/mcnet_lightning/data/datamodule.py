"""Loaders of patches for training and of whole images for validation and test."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mcnet_lightning.backbones.frozen import FrozenBackbone
from mcnet_lightning.data.cache import cached_prior
from mcnet_lightning.data.loading import EvenShare, PatchSampler, ResumableLoader, share_of_batch
from mcnet_lightning.data.patches import TrainingSet, cut_patches, whole_images
from mcnet_lightning.data.sources import NamedImage, Part, list_files, load_images, named_images
from mcnet_lightning.errors import ConfigError, MCNetError
from mcnet_lightning.imaging import find_picture, read_rgb
from mcnet_lightning.problems import Problem
from mcnet_lightning.problems.super_resolution import SuperResolution


class WholeImages(Dataset[dict[str, Any]]):
    """Test or validation images, observed one at a time: `dataset`, `name`, `group`, and `observation`.

    crop: side of a central crop, where the problem is local. lr_pictures: files of LR that were measured, found by
    name; without them LR is made from HR.
    """

    def __init__(
        self,
        images: Sequence[NamedImage],
        problem: Problem,
        crop: int | None = None,
        lr_pictures: Sequence[Path] | None = None,
        seed: int = 0,
    ) -> None:
        self.images = images
        self.problem = problem
        self.crop = crop if problem.local else None
        self.lr_pictures = lr_pictures
        self.seed = seed

    def __len__(self) -> int:
        return len(self.images)

    @torch.inference_mode(False)  # a validation makes estimates with tapes of what it is given
    def __getitem__(self, index: int) -> dict[str, Any]:
        image = self.images[index]
        rgb = image.rgb if self.crop is None else _central_crop(image.rgb, self.crop)
        truth = self.problem.fit(rgb)[None]
        if self.lr_pictures is None:
            observation = self.problem.observe(truth, self.seed)
        else:
            assert isinstance(self.problem, SuperResolution)
            lr = read_rgb(find_picture(self.lr_pictures, image.name, self.problem.scale))
            observation = self.problem.measured(truth, lr[None])
        return {"dataset": image.dataset, "name": image.name, "group": image.group, "observation": observation}

    def require_observable(self) -> None:
        """Raises now what would end the work at one of them: observes one of each size, and all that were measured."""
        sizes = set[tuple[int, ...]]()
        for index, image in enumerate(self.images):
            if self.lr_pictures is None and tuple(image.rgb.shape) in sizes:
                continue
            sizes.add(tuple(image.rgb.shape))
            try:
                self[index]
            except MCNetError as error:
                raise type(error)(f"{image.name} in {image.dataset}: {error}") from None


class MeasurementDataModule(pl.LightningDataModule):
    """Patches or whole images for training; held-out ones for validation; whole test images.

    With a backbone, its outputs on what is trained on are computed once and cached on disk; without one (when the
    backbone itself is trained) batches carry no `prior_image`. `batch_size` is of all processes together.
    """

    def __init__(
        self,
        problem: Problem,
        train: Sequence[str],
        test: Sequence[str],
        root: str | None = None,
        backbone: FrozenBackbone | None = None,
        cache: Path | None = None,
        patch_size: int = 48,
        patch_stride: int = 48,
        patch_margin: int = 0,
        max_patches: int | None = None,
        batch_size: int = 16,
        validation_size: int = 192,
        validation_images: int = 4,
        num_workers: int = 0,
        seed: int = 0,
        hr_folder: str | None = None,
        lr_folder: str | None = None,
    ) -> None:
        super().__init__()
        self.problem = problem
        self.train_sets, self.test_sets, self.root = tuple(train), tuple(test), root
        self.backbone, self.cache = backbone, cache
        self.patch_size, self.patch_stride, self.max_patches = patch_size, patch_stride, max_patches
        self.patch_margin = patch_margin
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.validation_size, self.validation_images = validation_size, validation_images
        self.hr_folder, self.lr_folder = hr_folder, lr_folder
        self.patches: TrainingSet | None = None
        self._digest: str | None = None
        self._images: dict[tuple[str, Part], tuple[NamedImage, ...]] = {}  # as read: asked for again and again

    def setup(self, stage: str | None = None) -> None:
        if stage not in (None, "fit") or self.patches is not None:
            return
        images = [image.rgb for image in self._training_images("train")]
        self.held_out_images().require_observable()  # they are asked for when an epoch is over
        if self.problem.local:
            if self.patch_margin and self.problem.noisy:
                raise ConfigError(
                    f"data.patch_margin={self.patch_margin}: the network would see other noise than b has where "
                    f"problem={self.problem.name}; set it to 0"
                )
            geometry = (self.patch_size, self.patch_stride)
            margin = self.patch_margin if self.backbone is not None else 0
            self.patches = cut_patches(images, self.problem, *geometry, self.seed, self.max_patches, margin)
        else:
            self.patches = whole_images(images, self.problem, self.seed, self.max_patches)
        if self.backbone is not None and self.cache is not None:
            device = "cpu" if self.trainer is None else self.trainer.strategy.root_device
            self.patches.prior_image = cached_prior(self.backbone, self.patches, self.cache, device)
            self.digest()  # kept from now on: it is of what the backbone saw
            self.patches.surroundings = None  # several times as large as the patches, and never asked for again

    def digest(self) -> str:
        """SHA-256 of the training patches, in their order: what a training saw."""
        assert self.patches is not None, "setup() comes first"
        if self._digest is None:
            self._digest = self.patches.digest()
        return self._digest

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        assert self.patches is not None, "setup() comes first"
        rank, processes = self._rank_and_processes()
        share = share_of_batch(self.batch_size, processes)
        return ResumableLoader(
            self.patches,
            batch_size=share,
            sampler=PatchSampler(self.patches, processes, rank, seed=self.seed),
            drop_last=len(self.patches) // processes >= share,
            num_workers=self.num_workers,
            collate_fn=_already_a_batch,
        )

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        return self._whole(EvenShare(self.held_out_images(), *self._rank_and_processes()))

    def test_dataloader(self) -> DataLoader[dict[str, Any]]:
        return self._whole(self.test_images())

    def held_out_images(self) -> WholeImages:
        """Central crops of training images that no training sees."""
        images = self._training_images("validation")
        step = max(1, len(images) // self.validation_images)
        chosen = images[::step][: self.validation_images]
        return WholeImages(chosen, self.problem, self.validation_size, seed=self.seed)

    def test_images(self) -> WholeImages:
        """Read and tried before hours of work: a missing folder, or an image that cannot be measured, is told now."""
        lr_pictures = None if self.lr_folder is None else list_files(self.lr_folder, "picture")
        if self.hr_folder is not None:
            name = self.test_sets[0] if self.test_sets else Path(self.hr_folder).name
            files = list_files(self.hr_folder, self.problem.images)
            images = list(named_images(name, files, self.problem.images))
        else:
            images = [image for name in self.test_sets for image in self._load(name, "test")]
        for image in images:
            self.problem.check(image.rgb, f"{image.name} in {image.dataset}")
        found = WholeImages(images, self.problem, lr_pictures=lr_pictures, seed=self.seed)
        found.require_observable()
        return found

    def _load(self, name: str, part: Part) -> tuple[NamedImage, ...]:
        if (name, part) not in self._images:
            self._images[name, part] = load_images(name, part, self.root, self.problem.images)
        return self._images[name, part]

    def _training_images(self, part: Part) -> list[NamedImage]:
        if not self.train_sets:
            raise ConfigError("data.train names no training set; add data.train=[...], folders of data.root/train")
        return [image for name in self.train_sets for image in self._load(name, part)]

    def _rank_and_processes(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _whole(self, images: Dataset[dict[str, Any]]) -> DataLoader[dict[str, Any]]:
        return DataLoader(images, batch_size=None, shuffle=False, num_workers=self.num_workers)


def _already_a_batch(batch: Any) -> Any:
    return batch


def _central_crop(image: Tensor, side: int) -> Tensor:
    height, width = image.shape[-2:]
    top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
    return image[..., top : top + side, left : left + side]

"""Loaders of patches for training and of whole images for validation and test."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mcnet_lightning.backbones.frozen import FrozenBackbone
from mcnet_lightning.data.cache import cached_prior
from mcnet_lightning.data.loading import EvenShare, PatchSampler, ResumableLoader, share_of_batch
from mcnet_lightning.data.patches import PatchSet, cut_patches
from mcnet_lightning.data.sources import NamedImage, Part, load_images, named_images
from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.imaging import Degradation, find_picture, list_images, read_rgb


class WholeImages(Dataset[dict[str, Any]]):
    """Test or validation images, degraded by protocol, one at a time.

    crop: side of a central crop in HR pixels. lr_pictures: files of LR that were measured, found by name; without
    them LR is made from HR.
    """

    def __init__(
        self,
        images: Sequence[NamedImage],
        degradation: Degradation,
        crop: int | None = None,
        lr_pictures: Sequence[Path] | None = None,
    ) -> None:
        self.images = images
        self.degradation = degradation
        self.crop = crop
        self.lr_pictures = lr_pictures

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = self.images[index]
        rgb = image.rgb if self.crop is None else _central_crop(image.rgb, self.crop)
        hr = self.degradation.fit(rgb)[None]
        if self.lr_pictures is None:
            observation = self.degradation(hr)
        else:
            lr = read_rgb(find_picture(self.lr_pictures, image.name, self.degradation.scale))
            observation = self.degradation.measured(hr, lr[None])
        return {"dataset": image.dataset, "name": image.name, **vars(observation)}


class MeasurementDataModule(pl.LightningDataModule):
    """Patches b, w, x for training; held-out crops for validation; whole test images.

    With a backbone, its outputs on the patches are computed once and cached on disk; without one (when the backbone
    itself is trained) batches carry no `prior_image`. `batch_size` is of all processes together.
    """

    def __init__(
        self,
        degradation: Degradation,
        train: Sequence[str],
        test: Sequence[str],
        root: str | None = None,
        backbone: FrozenBackbone | None = None,
        cache: Path | None = None,
        patch_size: int = 48,
        patch_stride: int = 48,
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
        self.degradation = degradation
        self.train_sets, self.test_sets, self.root = tuple(train), tuple(test), root
        self.backbone, self.cache = backbone, cache
        self.patch_size, self.patch_stride, self.max_patches = patch_size, patch_stride, max_patches
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.validation_size, self.validation_images = validation_size, validation_images
        self.hr_folder, self.lr_folder = hr_folder, lr_folder
        self.patches: PatchSet | None = None
        self._digest: str | None = None

    def setup(self, stage: str | None = None) -> None:
        if stage not in (None, "fit") or self.patches is not None:
            return
        images = [image.rgb for image in self._training_images("train")]
        self.patches = cut_patches(
            images, self.degradation, self.patch_size, self.patch_stride, self.seed, self.max_patches
        )
        if self.backbone is not None and self.cache is not None:
            self.patches.prior_image = cached_prior(self.backbone, self.patches, self.cache)

    def digest(self) -> str:
        """SHA-256 of the training patches, in their order: what a training saw."""
        assert self.patches is not None, "setup() comes first"
        if self._digest is None:
            self._digest = self.patches.digest()
        return self._digest

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        assert self.patches is not None, "setup() comes first"
        rank, processes = self._rank_and_processes()
        share = share_of_batch(self.batch_size, processes)
        return ResumableLoader(
            self.patches,  # type: ignore[arg-type]
            batch_size=share,
            sampler=PatchSampler(self.patches, processes, rank, seed=self.seed),  # type: ignore[arg-type]
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
        return WholeImages(chosen, self.degradation, self.validation_size)

    def test_images(self) -> WholeImages:
        lr_pictures = None if self.lr_folder is None else list_images(self.lr_folder)
        if self.hr_folder is not None:
            name = self.test_sets[0] if self.test_sets else Path(self.hr_folder).name
            images = list(named_images(name, list_images(self.hr_folder)))
        else:
            images = [image for name in self.test_sets for image in load_images(name, "test", self.root)]
        for image in images:
            self._check_size(image)
        return WholeImages(images, self.degradation, lr_pictures=lr_pictures)

    def _check_size(self, image: NamedImage) -> None:
        """Raises DataError, before hours of work, for an image of which PSNR's border leaves nothing."""
        height, width = image.rgb.shape[-2:]
        if min(side - side % self.degradation.scale for side in (height, width)) <= 2 * self.degradation.scale:
            raise DataError(
                f"{image.name} in {image.dataset} is too small for x{self.degradation.scale}: of {height} x {width} "
                "pixels nothing is left within the border that PSNR leaves out; take it out of the set"
            )

    def _training_images(self, part: Part) -> list[NamedImage]:
        if not self.train_sets:
            raise ConfigError("data.train names no training set; add data.train=[...], folders of data.root/train")
        return [image for name in self.train_sets for image in load_images(name, part, self.root)]

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

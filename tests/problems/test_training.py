"""A layer and its backbone trained on whole images, each with a mask of its own."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from mcnet_lightning import pretrain, train
from mcnet_lightning.config.checking import compose_config
from mcnet_lightning.config.running import Running, running
from mcnet_lightning.data import WholeImages, load_images, whole_images
from mcnet_lightning.problems.mri import MRI

SMALL = ["problem=mri", "problem.size=24", "backbone.chans=2", "backbone.pools=1", "data.max_patches=4"]
QUICK = [
    "logger=csv",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=1",
    "data.batch_size=2",
    "data.validation_images=1",
]
LAYER = ["backbone.weights=none", "denoiser.weights=none", "denoiser.depth=2", "denoiser.channels=4"]


def in_folder(folder: Path, command: str, task: Any, words: list[str], patch: pytest.MonkeyPatch) -> None:
    hydra = OmegaConf.create({"hydra": {"runtime": {"output_dir": str(folder)}, "mode": "RUN"}})
    patch.setattr(HydraConfig.instance(), "cfg", hydra)
    folder.mkdir()
    running.set(Running(f"mcnet_lightning.{command}", words=tuple(words)))
    task(compose_config(command, [*SMALL, *QUICK, *words]))


def test_a_layer_is_trained_and_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [*LAYER, "method=[start,tv,backbone+projection,mcnet]", "tv.max_steps=20"]
    in_folder(tmp_path / "run", "train", train.run, words, monkeypatch)
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["problem"] for row in rows} == {"mri"}
    assert {row["scale"] for row in rows} == {""}
    assert [row["method"] for row in rows if row["image"] == "mean"] == ["start", "tv", "backbone+projection", "mcnet"]
    for row in rows:
        assert float(row["consistency"]) <= 1e-4
        assert 10 < float(row["psnr"]) < 60
        assert float(row["nmse"]) > 0
        assert row["epsilon"] == ("" if row["method"] == "start" else "0")
    card = (tmp_path / "run" / "MODEL_CARD.md").read_text()
    assert "| test set | method | PSNR, dB |" in card
    assert "NMSE" in card
    assert (tmp_path / "run" / "layer.safetensors").is_file()


def test_a_backbone_is_trained_on_masks_that_are_drawn_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds, observe = [], MRI.observe

    def noted(self: MRI, images: torch.Tensor, seed: int) -> Any:
        seeds.append(seed)
        return observe(self, images, seed)

    monkeypatch.setattr(MRI, "observe", noted)
    in_folder(tmp_path / "run", "pretrain_backbone", pretrain.run_backbone, ["trainer.max_epochs=2"], monkeypatch)
    drawn = [seed for seed in seeds if seed != 0]
    assert len(set(drawn)) == len(drawn) == 4  # two batches in two epochs
    assert "zero-filled, dB" in (tmp_path / "run" / "MODEL_CARD.md").read_text()


def test_images_of_a_batch_are_observed_as_they_are_alone() -> None:
    problem = MRI(noise=0.01, size=32)
    images = [image.rgb for image in load_images("cardiac20", "train", kind="complex")[:3]]
    together = whole_images(images, problem, seed=5, limit=None)
    alone = WholeImages(load_images("cardiac20", "train", kind="complex")[:3], problem, seed=5)
    found = {
        tuple(observed.truth.flatten()[:4].tolist()): observed
        for observed in (alone[i]["observation"] for i in range(3))
    }
    for place in range(3):
        batch = together.__getitems__([place])
        mine: Any = batch["observation"]
        own = found[tuple(mine.truth.flatten()[:4].tolist())]
        assert torch.equal(mine.measurement, own.measurement)
        assert torch.equal(mine.operator(mine.truth), own.operator(own.truth))

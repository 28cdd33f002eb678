"""Files that the product reads back, cut and flipped: the right value, or one sentence of the right kind."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import damaged, one_sentence, picture

from mcnet_lightning.backbones import load_backbone
from mcnet_lightning.denoisers import DnCNN
from mcnet_lightning.equilibrium import EquilibriumLayer
from mcnet_lightning.errors import DataError, MCNetError, WeightsError
from mcnet_lightning.evaluation.records import Record
from mcnet_lightning.evaluation.tables import with_means, write_metrics
from mcnet_lightning.files.weights import bundled_path, read_weights
from mcnet_lightning.imaging import read_rgb
from mcnet_lightning.model.layer_files import load_denoiser, load_layer, save_denoiser, save_layer
from mcnet_lightning.reporting.runs import read_runs
from mcnet_lightning.restoration import read_picture

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("form", ["safetensors", "zip", "legacy"])
def test_backbone_files(tmp_path: Path, form: str) -> None:
    path = tmp_path / "file_x2"
    tensors = read_weights(bundled_path("backbone", "srcnn_x2")).tensors
    if form == "safetensors":
        shutil.copy(bundled_path("backbone", "srcnn_x2"), path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=form == "zip")
    image = torch.rand(1, 1, 16, 16)
    expected = load_backbone("srcnn", 2, str(path))(image)
    for content in damaged(path.read_bytes()):
        path.write_bytes(content)
        try:
            made = load_backbone("srcnn", 2, str(path))(image)
        except MCNetError as error:
            one_sentence(error, WeightsError)
        else:  # without checksums a weight that is another number looks like a weight: its digest tells, it is finite
            assert torch.equal(made, expected) if form == "zip" else bool(torch.isfinite(made).all())


def test_layer_and_denoiser_files(tmp_path: Path) -> None:
    save_layer(tmp_path / "layer", EquilibriumLayer(DnCNN(3, 4)).eval(), {"scale": 2})
    save_denoiser(tmp_path / "denoiser", DnCNN(3, 4), {})
    for name, load in (("layer", load_layer), ("denoiser", load_denoiser)):
        for content in damaged((tmp_path / name).read_bytes()):
            (tmp_path / name).write_bytes(content)
            try:
                load(tmp_path / name)
            except MCNetError as error:
                one_sentence(error, WeightsError)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "PPM", "GIF"])
@pytest.mark.parametrize("read", [read_picture, read_rgb], ids=["restore", "data"])
def test_pictures(tmp_path: Path, kind: str, read: Callable[[Path], Any]) -> None:
    path = tmp_path / f"picture.{kind.lower()}"
    picture(0, 40).save(path, kind)
    for content in damaged(path.read_bytes()):
        path.write_bytes(content)
        try:
            found = read(path)
        except MCNetError as error:
            one_sentence(error, DataError)
        else:
            values = found if isinstance(found, torch.Tensor) else found.colour
            assert bool(((values >= 0) & (values <= 1)).all())


def test_metrics_settings_and_traces_of_a_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / ".hydra").mkdir(parents=True)
    quality = {"psnr_y": 30.0, "ssim_y": 0.9}
    records = [Record("paper", "A", "Set", 2, "srcnn", "mcnet", name, quality, 1e-6, 100.0) for name in "ab"]
    write_metrics(run / "metrics.csv", with_means(records))
    (run / ".hydra" / "config.yaml").write_text("scale: 2\nbackbone:\n  name: srcnn\nsolver:\n  tolerance: 1.0e-05\n")
    (run / "traces.csv").write_text("dataset,image,method,evaluation,residual\nSet,a,mcnet,1,0.1\nSet,a,mcnet,2,0.01\n")
    for name in ("metrics.csv", ".hydra/config.yaml", "traces.csv"):
        good = (run / name).read_bytes()
        for content in damaged(good):
            (run / name).write_bytes(content)
            try:
                for each in read_runs([tmp_path]):
                    assert all(isinstance(value, list) for value in each.traces.values())
            except MCNetError as error:
                one_sentence(error, DataError)
        (run / name).write_bytes(good)

"""The `train` command as a user runs it: from another folder, on the embedded photographs, with bundled weights."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import in_process
import pytest
import torch

from mcnet_lightning import load_layer
from mcnet_lightning.data import load_images
from mcnet_lightning.evaluation.records import OF_FIRST, columns
from mcnet_lightning.imaging import write_png

HISTORY = {
    "train/loss",
    "train/psnr",
    "train/gain",
    "train/gain_over_projection",
    "train/consistency",
    "train/not_met",
    "train/forward_evaluations",
    "train/forward_residual",
    "train/forward_not_converged",
    "train/backward_evaluations",
    "train/backward_residual",
    "train/backward_not_converged",
    "train/beta",
    "val/psnr",
    "val/gain",
    "val/gain_over_projection",
    "val/consistency",
    "val/headroom",
    "val/not_met",
    "val/not_converged",
    "val/jacobian_norm",
    "val/spectral_radius",
    "val/denoiser_lipschitz_bound",
}


def command(folder: Path, module: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MCNET_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "2", "WANDB_MODE": ""}
    return subprocess.run(
        [sys.executable, "-m", f"mcnet_lightning.{module}", *words],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


TINY = ("experiment=tiny", "denoiser.weights=none", "denoiser.channels=8", "layer.prior_weight=0.5")
TEST_SET = ("data.root=data", "data.test=[Small]")  # corners of photographs: whole ones would take minutes


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "data" / "test" / "Small").mkdir(parents=True)
    for image in load_images("photographs", "test"):
        write_png(folder / "data" / "test" / "Small" / f"{image.name}.png", image.rgb[:, :60, :48])
    words = ("scale=3", "epsilon=0.1", *TINY, "pictures=true", *TEST_SET, "hydra.run.dir=run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MCNET_CACHE", str(folder / "cache"))
        patch.setenv("WANDB_MODE", "")
        done = in_process.command(folder, "train", *words, "trainer.log_every_n_steps=1")
    assert done.returncode == 0, done.stderr
    (folder / "stdout").write_text(done.stdout)
    return folder / "run"


def test_one_metrics_file_with_every_method_and_the_means(finished: Path) -> None:
    assert [path.name for path in finished.rglob("metrics.csv")] == ["metrics.csv"]
    table = rows(finished / "metrics.csv")
    assert list(table[0]) == columns(OF_FIRST)
    methods = ["bicubic", "bicubic+projection", "backbone", "backbone+projection", "mcnet"]
    assert [row["method"] for row in table if row["image"] == "mean"] == methods
    for method in methods:
        psnr = [float(row["psnr_y"]) for row in table if row["method"] == method]
        assert psnr[-1] == pytest.approx(sum(psnr[:-1]) / 3)


def test_every_projected_output_keeps_its_epsilon(finished: Path) -> None:
    for row in rows(finished / "metrics.csv"):
        if row["method"] == "mcnet" or row["method"].endswith("+projection"):
            assert float(row["consistency"]) <= 0.1 * (1 + 1e-5)


def test_ladder_is_printed(finished: Path) -> None:
    printed = (finished.parent / "stdout").read_text()
    assert "Small (3 images)  x3  SRCNN (ours)  protocol paper" in printed
    assert "backbone+projection" in printed


def test_history_holds_every_curve(finished: Path) -> None:
    columns = set(rows(finished / "history.csv")[0])
    assert columns >= HISTORY


def test_wandb_ran_offline_without_a_login(finished: Path) -> None:
    assert list((finished / "wandb").glob("offline-run-*/run-*.wandb"))


def test_offline_run_reads_back_with_settings_results_pictures_and_table(finished: Path) -> None:
    (run,) = (finished / "wandb").glob("offline-run-*")
    environment = {name: value for name, value in os.environ.items() if name != "WANDB_MODE"}
    words = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(run)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["config"]["epsilon"] == 0.1
    assert set(record["tags"]) == {"srcnn", "x3", "paper"}
    summary = record["summary"]
    for row in rows(finished / "metrics.csv"):
        if (row["image"], row["method"]) == ("mean", "mcnet"):
            assert summary["test/psnr"] == summary["test/Small/mcnet/psnr"] == pytest.approx(float(row["psnr_y"]))
    assert len(summary["certificate/layer_norm_bounds"]) == 6
    assert summary["val/comparison"]["count"] == 1
    images = [row for row in rows(finished / "metrics.csv") if row["image"] != "mean"]
    assert (summary["test/images"]["_type"], summary["test/images"]["nrows"]) == ("table-file", len(images))


def test_comparison_picture_per_validation(finished: Path) -> None:
    assert len(list((finished / "pictures").glob("step_*.png"))) == 1


def test_pictures_of_every_method_for_the_page_of_a_sweep(finished: Path) -> None:
    names = {path.name.rsplit("_", 1)[1] for path in (finished / "pictures").glob("Small_*.png")}
    assert names >= {"backbone.png", "mcnet.png", "hr.png", "lr.png"}


def test_checkpoint_describes_itself_and_holds_no_backbone(finished: Path) -> None:
    checkpoint = torch.load(finished / "checkpoints" / "best.ckpt", weights_only=True)
    record = checkpoint["mcnet"]
    assert (record["backbone"], record["scale"], record["epsilon"]) == ("srcnn", 3, 0.1)
    assert len(record["backbone_sha256"]) == 64
    assert record["operator"] == "bicubic-x3-truncated"
    assert len(record["certificate"]["layer_norm_bounds"]) == 6
    assert record["config"]["data"]["train"] == ["photographs"]
    assert all(name.startswith("model.layer.") for name in checkpoint["state_dict"])


def test_checkpoint_and_safetensors_give_the_same_layer(finished: Path) -> None:
    one = load_layer(finished / "checkpoints" / "best.ckpt", scale=3).eval().fold()  # as it is stored
    other = load_layer(finished / "layer.safetensors", scale=3)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


@pytest.mark.slow
def test_resume_goes_on_where_the_checkpoint_stopped(finished: Path) -> None:
    last = finished / "checkpoints" / "last.ckpt"
    steps = torch.load(last, weights_only=True)["global_step"]
    words = ("scale=3", "epsilon=0.1", *TINY, "logger=csv", "trainer.max_epochs=2", "method=[mcnet]")
    done = command(finished.parent, "train", *words, *TEST_SET, f"resume={last}", "hydra.run.dir=resumed")
    assert done.returncode == 0, done.stderr
    resumed = torch.load(finished.parent / "resumed" / "checkpoints" / "last.ckpt", weights_only=True)
    assert resumed["global_step"] == 2 * steps


def test_evaluate_reports_what_train_reported(finished: Path) -> None:
    words = ("scale=3", "epsilon=0.1", f"layer.weights={finished / 'layer.safetensors'}", "hydra.run.dir=again")
    done = in_process.command(finished.parent, "evaluate", *words, *TEST_SET, "method=[mcnet]", "pictures=true")
    assert done.returncode == 0, done.stderr
    trained = [row for row in rows(finished / "metrics.csv") if row["method"] == "mcnet"]
    evaluated = rows(finished.parent / "again" / "metrics.csv")
    for one, other in zip(trained, evaluated, strict=True):
        assert float(one["psnr_y"]) == pytest.approx(float(other["psnr_y"]), abs=1e-3)
    assert len(list((finished.parent / "again" / "pictures").glob("*_mcnet.png"))) == 3


def test_a_layer_for_another_scale_is_refused_in_one_sentence(finished: Path) -> None:
    words = ("scale=2", f"layer.weights={finished / 'layer.safetensors'}", "hydra.run.dir=refused")
    done = in_process.command(finished.parent, "evaluate", *words)
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert "was made for scale=3, not scale=2" in done.stderr
    assert not (finished.parent / "refused" / "metrics.csv").exists()


def test_an_image_that_is_none_is_named_before_anything_is_computed(tmp_path: Path) -> None:
    broken = tmp_path / "data" / "test" / "Mine"
    broken.mkdir(parents=True)
    (broken / "photo.png").write_bytes(b"no picture")
    done = in_process.command(tmp_path, "evaluate", "data.root=data", "data.test=[Mine]", "hydra.run.dir=run")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "photo.png cannot be read as an image" in done.stderr
    assert not (tmp_path / "run" / "metrics.csv").exists()

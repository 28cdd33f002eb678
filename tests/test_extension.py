"""Components from a folder outside the package, which is also the guide to writing them: every command takes them."""

import csv
import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from in_process import Ended, command
from PIL import Image
from sweep_commands import SETTINGS, finish, make_pictures, rows, start

from mcnet_lightning.config.checking import compose_config
from mcnet_lightning.files.sources import source_digest
from mcnet_lightning.operators import check_adjoint
from mcnet_lightning.sweeps.content import content_key

GUIDE = Path(__file__).resolve().parents[1] / "examples" / "extension"
OWN = ["operator=averaged", "backbone=sharpened", "solver=patient"]
TEST = ["data.root=data", "data.test=[Small]"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the guide as mine/, two test pictures, and one of LR that the operator made."""
    shutil.copytree(GUIDE, tmp_path / "mine", ignore=shutil.ignore_patterns("__pycache__"))
    generator = np.random.default_rng(0)
    place = tmp_path / "data" / "test" / "Small"
    place.mkdir(parents=True)
    for name in ("a", "b"):
        smooth = np.kron(generator.integers(60, 190, (8, 8, 3)), np.ones((4, 4, 1))).astype(np.uint8)
        Image.fromarray(smooth).save(place / f"{name}.png")
    means = smooth.reshape(16, 2, 16, 2, 3).mean((1, 3)).round().astype(np.uint8)
    Image.fromarray(means).save(tmp_path / "lr.png")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "mine")])
    monkeypatch.chdir(tmp_path)
    source_digest.cache_clear()
    yield tmp_path
    sys.modules.pop("toys", None)  # the next test has another copy
    source_digest.cache_clear()


def run(folder: Path, module: str, *words: str) -> Ended:
    return command(folder, module, "--config-dir=mine", *words)


def test_own_operator_backbone_solver_and_method_are_measured(folder: Path) -> None:
    words = [*OWN, *TEST, "method=[backbone,halfway,mcnet]", "layer.weights=bundled:srcnn"]
    done = run(folder, "evaluate", *words, "method.halfway.share=0.25", "hydra.run.dir=run", "device=cpu")
    assert done.returncode == 0, done.stderr
    with (folder / "run" / "metrics.csv").open(newline="") as file:
        records = {row["method"]: row for row in csv.DictReader(file) if row["image"] == "a"}
    assert set(records) == {"backbone", "halfway", "mcnet"}
    assert {row["operator"] for row in records.values()} == {"averaged-x2-1"}
    assert {row["backbone"] for row in records.values()} == {"sharpened"}
    misses = {name: float(row["consistency"]) for name, row in records.items()}
    assert misses["halfway"] == pytest.approx(0.75 * misses["backbone"], rel=1e-3)  # A is linear
    assert misses["mcnet"] < 1e-3
    assert records["halfway"]["epsilon"] == ""  # it promises none
    for _ in range(2):
        done = run(folder, "report", "runs=run", "output=report")
    assert not [*folder.glob("report_*")]
    assert done.returncode == 0, done.stderr
    assert "Sharpened, halfway" in "".join(path.read_text() for path in (folder / "report").rglob("*.md"))


def test_own_problem_is_measured(folder: Path) -> None:
    words = ["problem=striped", "problem.period=3", "backbone=sharpened", "backbone.input_kind=start", *TEST]
    words += ["layer.weights=bundled:paper_x2", "method=[start,backbone,backbone+projection,mcnet]"]
    done = run(folder, "evaluate", *words, "hydra.run.dir=run", "device=cpu")
    assert done.returncode == 0, done.stderr
    with (folder / "run" / "metrics.csv").open(newline="") as file:
        records = {row["method"]: row for row in csv.DictReader(file) if row["image"] == "a"}
    assert {row["protocol"] for row in records.values()} == {"striped3"}
    assert {row["problem"] for row in records.values()} == {"striped"}
    assert all(float(records[name]["consistency"]) < 1e-5 for name in ("start", "backbone+projection", "mcnet"))
    assert float(records["backbone"]["consistency"]) > 0.1
    refused = run(folder, "evaluate", "problem=striped", "problem.period=1")
    assert refused.returncode == 2
    assert "'problem.period' takes a whole number, at least 2" in refused.stderr


def test_own_operator_and_backbone_restore_and_certify(folder: Path) -> None:
    done = run(folder, "restore", *OWN[:2], "input=lr.png", "output=out", "layer.weights=none", "device=cpu")
    assert done.returncode == 0, done.stderr
    certificate = json.loads((folder / "out" / "lr.png.json").read_text())
    assert certificate["backbone"]["name"] == "sharpened"
    checked = run(folder, "certify", OWN[0], "image=out/lr.png", "measurement=lr.png")
    assert checked.returncode == 0, checked.stderr
    wrong = run(folder, "certify", OWN[0], "operator.gain=0.9", "image=out/lr.png", "measurement=lr.png", "epsilon=0")
    assert wrong.returncode != 0


def test_dotted_paths_choose_as_files_do(folder: Path) -> None:
    words = ["solver=toys.Patient", "backbone=toys.Sharpened", "backbone.gain=0.3", "method=[backbone,toys.Halfway]"]
    config = compose_config("evaluate", [*words, "method.halfway.share=0.75"])
    assert (config.backbone.gain, config.method.halfway.share) == (0.3, 0.75)
    assert config.solver.max_evaluations == 60  # its own default
    assert (
        run(folder, "evaluate", *TEST, "backbone._target_=toys.Sharpened", "backbone.gain=0.3", "--cfg=job").returncode
        == 0
    )


def test_the_operator_of_the_guide_is_one(folder: Path) -> None:
    import toys

    check_adjoint(toys.Averaged(3, 0.7), (1, 12, 15))
    image = torch.rand(1, 1, 6, 6, dtype=torch.float64)
    assert torch.equal(toys.Averaged(2)(image)[0, 0, 1, 2], image[0, 0, 2:4, 4:6].mean())


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("backbone=sharpend", "did you mean 'sharpened'?"),
        ("backbone._target_=toys.Sharpend", "'Sharpend' does not exist in toys; did you mean 'Sharpened'?"),
        ("backbone._target_=toy.Sharpened", "there is no module 'toy'; did you mean 'toys'?"),
        ("backbone._target_=toys", "backbone=toys: 'backbone' has no such option"),
        ("backbone=sharpened backbone.gian=0.3", "did you mean 'backbone.gain'?"),
        ("backbone=sharpened backbone.gain=much", "'backbone.gain' takes a number, at least 0"),
        ("backbone=sharpened backbone.gain=-1", "'backbone.gain' takes a number, at least 0"),
        ("operator=averaged operator.gain=x", "'operator.gain' takes a number"),
        ("denoiser=smoother denoiser.border=reflekt", "did you mean 'reflect'?"),
        ("solver=patient solver.tolerence=1e-3", "did you mean 'solver.tolerance'?"),
        ("method=[halfwy]", "did you mean 'halfway'?"),
        ("method=[halfway] method.halfway.shares=1", "did you mean 'method.halfway.share'?"),
        ("method=[halfway] method.halfway.share=2", "'method.halfway.share' takes a number, at least 0, at most 1"),
        # of another part
        ("solver._target_=toys.Averaged", "Averaged is no solver, which has a method `solve`"),
        ("solver._target_=mcnet_lightning.equilibrium.MeasurementBall", "MeasurementBall is no solver"),
        ("backward._target_=toys.Patient", "Patient is no backward"),
        ("operator._target_=toys.Sharpened", "Sharpened is no operator, which is a MeasurementOperator"),
        ("backbone._target_=toys.Averaged", "Averaged is no backbone, which is a torch.nn.Module"),
        ("denoiser._target_=toys.Patient", "Patient is no denoiser, which is a torch.nn.Module"),
        ("method=[backbone,toys.Sharpened]", "Sharpened is no method, which is a Method"),
        ("problem._target_=toys.Halfway", "Halfway is no problem, which is a Problem"),
    ],
)
def test_typos_get_one_sentence(folder: Path, words: str, answer: str) -> None:
    done = run(folder, "evaluate", *words.split())
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert answer in done.stderr
    assert not (folder / "outputs").exists()


@pytest.mark.parametrize(
    ("file", "text", "answer"),
    [
        ("solver/off", "_target_: toys.Patient\ntolerence: 1e-3", "toys.Patient takes no 'tolerence'; did you mean"),
        ("solver/off", "_target_: toys.Averaged", "Averaged is no solver"),
        ("method/off", "# @package method.off\n_target_: toys.Halfway\nshares: 1", "toys.Halfway takes no 'shares'"),
        ("method/off", "# @package method.off\n_target_: toys.Patient", "Patient is no method"),
        ("method/off", "_target_: toys.Halfway", "must begin with '# @package method.NAME'"),
        ("backbone/off", "_target_: toys.Sharpened\ngain: [1]", "'backbone.gain' takes a number"),
        ("solver/off", "", "solver=off names no class; write the line `_target_: module.Class`"),
        ("problem/off", "period: 3", "problem=off names no class"),
        ("method/off", "# @package method.off\nshares: 1", "method=off names no class"),
        ("solver/off", "_target_: toys.Patient\n\ttolerance: 1", "solver/off.yaml cannot be read as settings"),
        ("solver/off", "_target_ toys.Patient", "solver/off.yaml cannot be read as settings"),
    ],
)
def test_files_of_settings_get_one_sentence(folder: Path, file: str, text: str, answer: str) -> None:
    (folder / "mine" / f"{file}.yaml").write_text(f"{text}\n")
    group = file.partition("/")[0]
    done = run(folder, "evaluate", f"{group}=[off]" if group == "method" else f"{group}=off")
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert answer in done.stderr


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("raise RuntimeError('my module\\nis broken')", "cannot be imported, RuntimeError: my module is broken"),
        ("class Fragile(:", "cannot be imported, SyntaxError"),
        ("import missing_package", "cannot be imported, ModuleNotFoundError: No module named 'missing_package'"),
        ("Fragile = 3", "'Fragile' is neither a class nor a function"),
        ("class Fragile:\n    def solve(self): ...\n    def __init__(self): raise ValueError('no\\nway')", "no way"),
    ],
)
def test_modules_that_fail_get_one_sentence(folder: Path, text: str, answer: str) -> None:
    (folder / "mine" / "fragile.py").write_text(f"{text}\n")
    sys.modules.pop("fragile", None)
    importlib.invalidate_caches()
    done = run(folder, "evaluate", *TEST, "solver._target_=fragile.Fragile", "layer.weights=bundled:paper")
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert answer in done.stderr


def test_an_edit_of_a_component_is_another_result(folder: Path) -> None:
    ours = compose_config("evaluate", TEST)
    config = compose_config("evaluate", [*TEST, "solver=toys.Patient"])
    before = content_key(ours), content_key(config)
    assert content_key(config) == before[1]
    toys = folder / "mine" / "toys.py"
    toys.write_text(toys.read_text().replace("tolerance / 10", "tolerance / 9"))
    source_digest.cache_clear()  # as a new process has it
    assert content_key(ours) == before[0]
    assert content_key(config) != before[1]


@pytest.mark.slow
def test_a_sweep_over_own_components_is_trained_used_and_run_again(folder: Path) -> None:
    shutil.rmtree(folder / "data")
    make_pictures(folder)
    settings = [word for word in SETTINGS if not word.startswith(("denoiser", "method", "backbone", "solver"))]
    words = ["-m", "--config-dir=mine", *settings, "logger=csv", "trainer.max_epochs=1", "operator=averaged"]
    words += ["backbone=bicubic,sharpened", "denoiser=smoother", "solver=patient", "solver.max_evaluations=8"]
    words += ["method=[backbone,halfway,mcnet]", "hydra.sweep.dir=sweep", "data.max_patches=8"]
    finish(start(folder, *words))
    runs = sorted(path.parent for path in (folder / "sweep").glob("*/metrics.csv"))
    assert len(runs) == 2
    for each in runs:
        assert {row["method"] for row in rows(each / "metrics.csv")} == {"backbone", "halfway", "mcnet"}
    before = written(folder)
    finish(start(folder, *words))
    assert written(folder) == before
    checkpoint = next(path for path in runs[1].rglob("last.ckpt"))
    layer = [f"layer.weights={checkpoint}", "layer.classes=[toys.Smoother]"]
    done = run(folder, "evaluate", *OWN, *TEST, *layer, "method=[backbone,mcnet]", "hydra.run.dir=again", "device=cpu")
    assert done.returncode == 0, done.stderr
    refused = run(folder, "evaluate", *OWN, *TEST, layer[0], "hydra.run.dir=refused", "device=cpu")
    assert refused.returncode == 4
    assert "layer.classes=[toys.Smoother]" in refused.stderr
    restored = run(folder, "restore", *OWN, *layer, "input=lr.png", "output=out", "device=cpu")
    assert restored.returncode == 0, restored.stderr
    assert run(folder, "certify", OWN[0], "image=out/lr.png", "measurement=lr.png").returncode == 0
    reported = run(folder, "report", "runs=[sweep,again]", "output=report")
    assert reported.returncode == 0, reported.stderr
    toys = folder / "mine" / "toys.py"
    toys.write_text(toys.read_text().replace("tolerance / 10", "tolerance / 9"))
    finish(start(folder, *words))
    after = written(folder)
    assert after.keys() == before.keys()
    assert all(after[name] != before[name] for name in before)


def written(folder: Path) -> dict[str, int]:
    """When each job of the sweep was measured."""
    return {path.parent.name: path.stat().st_mtime_ns for path in (folder / "sweep").glob("*/metrics.csv")}

"""Restore killed, started twice, and given planted links: every picture is whole and agrees with its certificate."""

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from commands import command, ended_well, nothing_half_written, picture, run

from mcnet_lightning.files import file_digest

pytestmark = pytest.mark.slow
PICTURES = 6


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for number in range(PICTURES):
        picture(number, 96).save(tmp_path / "in" / f"{number}.png")
    return tmp_path / "in"


def words(source: Path, output: Path, *more: str) -> tuple[str, ...]:
    return (f"input={source}", f"output={output}", "backbone=bicubic", *more)


def whole(output: Path) -> dict[str, str]:
    """Digests of the pictures, each of which agrees with its own certificate; certificates alone may stand."""
    found = {path.name: file_digest(path) for path in output.glob("*.png")}
    for name, digest in found.items():
        assert json.loads((output / f"{name}.json").read_text())["sha256"] == digest
    return found


def test_killed_at_random_moments_it_goes_on_where_it_was(tmp_path: Path, source: Path) -> None:
    start = time.monotonic()
    ended_well(run("restore", *words(source, tmp_path / "expected")), 0)
    seconds, chance = time.monotonic() - start, random.Random(0)
    expected = whole(tmp_path / "expected")
    for attempt in range(4):
        with subprocess.Popen(
            command("restore", *words(source, tmp_path / "out")), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        ) as process:
            time.sleep(seconds * chance.uniform(0.5, 1.0))
            process.send_signal(signal.SIGKILL)
        if (tmp_path / "out").is_dir():
            assert whole(tmp_path / "out").items() <= expected.items(), attempt
    ended_well(run("restore", *words(source, tmp_path / "out")), 0)
    assert whole(tmp_path / "out") == expected
    nothing_half_written(tmp_path)


def test_several_at_once_share_a_folder(tmp_path: Path, source: Path) -> None:
    output = tmp_path / "out"
    (output).mkdir()
    (tmp_path / "treasure").write_text("mine")
    for name in (".0.png.part", ".mcnet.part"):
        (output / name).symlink_to(tmp_path / "treasure")
    same = [words(source, output)] * 3
    other = [words(source, output, "rounding=nearest")]
    running = [subprocess.Popen(command("restore", *each), stderr=subprocess.PIPE, text=True) for each in same + other]
    texts = [process.communicate(timeout=600)[1] for process in running]
    assert not any("Traceback" in text for text in texts)
    assert {process.returncode for process in running} <= {0, 3}
    assert len(whole(output)) == PICTURES
    for text, process in zip(texts, running, strict=True):
        refused = sum(line.startswith("not done: ") for line in text.splitlines())
        assert (refused > 0) == (process.returncode == 3), text
    assert sum(process.returncode == 3 for process in running) in (0, 1, 3, 4)
    assert (tmp_path / "treasure").read_text() == "mine"
    assert {path.name for path in output.glob(".*")} == {".0.png.part", ".mcnet.part"}


def test_another_solver_is_another_request(tmp_path: Path, source: Path) -> None:
    first = ("layer.weights=bundled:paper", "scale=2", "solver.max_evaluations=2")
    one = tmp_path / "one"
    one.mkdir()
    (source / "0.png").rename(one / "0.png")
    done = run("restore", *words(one, tmp_path / "out", *first))
    ended_well(done, 0)
    assert "warning: 0.png: the layer has not settled: ended as MAX_EVALUATIONS" in done.stderr
    again = run("restore", *words(one, tmp_path / "out", *first[:2], "solver.max_evaluations=3"))
    ended_well(again, 3)
    assert "overwrite=true replaces it" in again.stderr

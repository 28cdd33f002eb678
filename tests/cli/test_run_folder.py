"""One folder, one run: two commands of the same second do not share one, and a killed run's claim blocks nobody."""

import multiprocessing
import os
import signal
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import Any

import pytest

from mcnet_lightning.cli.run_folder import claim, release_claims
from mcnet_lightning.errors import ConfigError, DataError

PROCESSES = 8
spawned = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def released() -> object:
    yield
    release_claims()


def take(folder: Path, named: bool, together: Barrier, answers: Any, over: Event) -> None:
    together.wait()
    try:
        answers.put(claim(folder, named).name)
    except ConfigError as error:
        answers.put(str(error))
    over.wait()


def all_at_once(folder: Path, named: bool) -> list[str]:
    """What PROCESSES processes get that ask for the folder together and then live on."""
    together, answers, over = spawned.Barrier(PROCESSES), spawned.Queue(), spawned.Event()
    arguments = (folder, named, together, answers, over)
    processes = [spawned.Process(target=take, args=arguments) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=60) for _ in processes]
    over.set()
    for process in processes:
        process.join()
    return found


def test_runs_of_the_same_second_get_folders_of_their_own(tmp_path: Path) -> None:
    names = all_at_once(tmp_path / "outputs" / "12-00-00", named=False)
    assert sorted(names) == ["12-00-00", *(f"12-00-00_{number}" for number in range(2, PROCESSES + 1))]


def test_a_named_folder_goes_to_one_of_them(tmp_path: Path) -> None:
    answers = all_at_once(tmp_path / "mine", named=True)
    assert answers.count("mine") == 1
    assert sum("another process runs in" in answer for answer in answers) == PROCESSES - 1


def test_the_claim_of_a_killed_run_blocks_nobody(tmp_path: Path) -> None:
    together, answers, over = spawned.Barrier(1), spawned.Queue(), spawned.Event()
    process = spawned.Process(target=take, args=(tmp_path / "run", True, together, answers, over))
    process.start()
    assert answers.get(timeout=60) == "run"
    with pytest.raises(ConfigError, match="another process runs in"):
        claim(tmp_path / "run", named=True)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert claim(tmp_path / "run", named=True) == tmp_path / "run"


def test_a_place_that_cannot_be_written_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/run cannot be written .*; go to .* hydra\.run\.dir=FOLDER"):
        claim(tmp_path / "file" / "run", named=True)

"""Of several processes that fail together, the first one's words count; the others take its exit code in silence."""

from pathlib import Path

import pytest

from mcnet_lightning.cli import first_failure as module
from mcnet_lightning.cli.first_failure import FailedElsewhereError, first_failure, forget_failures
from mcnet_lightning.errors import ConfigError, ConvergenceError, DataError

GONE = RuntimeError("[gloo/transport/tcp/pair.cc:561] Connection closed by peer [127.0.0.1]:1958")


@pytest.fixture(autouse=True)
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("MCNET_RUN", "1")
    monkeypatch.setattr(module, "PATIENCE", 0.2)


def test_the_first_speaks_and_the_others_follow(tmp_path: Path) -> None:
    first = ConvergenceError("the loss is nan at step 3")
    assert first_failure(first, first, tmp_path) is None
    for error in (GONE, DataError("no such picture"), ValueError("a bug")):
        failure = error if isinstance(error, DataError) else None
        found = first_failure(error, failure, tmp_path)
        assert isinstance(found, FailedElsewhereError)
        assert (str(found), found.exit_code) == ("the loss is nan at step 3", ConvergenceError.exit_code)
    forget_failures(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_lost_connection_alone_is_one_sentence(tmp_path: Path) -> None:
    found = first_failure(GONE, None, tmp_path)
    assert not isinstance(found, FailedElsewhereError)
    assert str(found).startswith("another process of this run was ended from outside")


def test_a_plain_command_in_a_batch_script_of_several_tasks_is_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOCAL_RANK")
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    error = ConfigError("no")
    for _ in range(3):  # the same command again, in the same job and folder
        assert first_failure(error, error, tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("SLURM_STEP_ID", "0")  # srun
    assert first_failure(error, error, tmp_path) is None
    assert isinstance(first_failure(error, error, tmp_path), FailedElsewhereError)
    monkeypatch.setenv("SLURM_STEP_ID", "1")  # the next step speaks for itself
    assert first_failure(error, error, tmp_path) is None


def test_a_process_that_is_alone_speaks_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_RANK")
    error = ConfigError("no")
    assert first_failure(error, error, tmp_path) is None
    assert list(tmp_path.iterdir()) == []

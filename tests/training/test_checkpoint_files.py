"""last.ckpt is whole at every moment, wherever temporary files lie, and a disk that is full leaves what was there."""

import itertools
import multiprocessing
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

from mcnet_lightning.errors import DataError, WeightsError
from mcnet_lightning.training.checkpoints import StagedCheckpoints, before, load, readable

forked = multiprocessing.get_context("fork")


def write_for_ever(path: Path, written: Any) -> None:
    for step in itertools.count():
        StagedCheckpoints().save_checkpoint({"step": step, "filler": torch.full((2**18,), step)}, path)
        written.put(step)


def test_kills_at_any_moment_leave_a_whole_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.ckpt"
    if os.access("/dev/shm", os.W_OK):  # another file system
        monkeypatch.setattr(tempfile, "tempdir", "/dev/shm")
    for writes in (2, 3, 5, 8):
        written = forked.Queue()
        process = forked.Process(target=write_for_ever, args=(path, written))
        process.start()
        for _ in range(writes):
            written.get(timeout=60)
        process.kill()
        process.join()
        for kept in (path, before(path)):
            content = torch.load(kept, weights_only=True)
            assert bool((content["filler"] == content["step"]).all())
        assert readable(path) == path


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("run",)


WHOLE = {"state_dict": {"a": torch.ones(2)}, "global_step": 3, "loops": {}, "run": {"config": {}, "identity": {}}}


@pytest.mark.parametrize(
    "content",
    [
        Hostile(),
        {**WHOLE, "loops": Hostile()},
        [WHOLE],
        {name: value for name, value in WHOLE.items() if name != "loops"},
        {**WHOLE, "state_dict": [1]},
        {**WHOLE, "state_dict": {"a": 1}},
        {**WHOLE, "global_step": "3"},
        {**WHOLE, "run": [1]},
        WHOLE,  # whose patches nobody knows
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_what_is_no_checkpoint_of_a_training_is_refused_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, zipped: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, "last.ckpt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError) as refused:
        load(readable(Path("last.ckpt")))
    assert "\n" not in str(refused.value)
    assert not Path("run").exists()


def test_a_full_disk_is_one_sentence_and_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, disk = tmp_path / "last.ckpt", StagedCheckpoints()
    disk.save_checkpoint({"step": 1}, path)

    def full(content: Any, target: Path) -> None:
        Path(target).write_bytes(b"half of it")
        raise RuntimeError("[enforce fail at inline_container.cc:783] . unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(DataError, match=r"last\.ckpt cannot be written .*free space and give the same command again"):
        disk.save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["last.ckpt"]

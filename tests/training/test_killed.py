"""Commands ended by signals at random moments of random steps and resumed: not one bit differs from the uninterrupted
run.
"""

import os
import random
import signal
import threading
from pathlib import Path
from typing import Any

import in_process
import pytest
import torch
from sweep_commands import end_after, finish, make_pictures, start
from training_commands import COMMANDS, EVERYWHERE, checkpoint, differing

from mcnet_lightning.data.patches import TrainingSet

KILLS = 10
STEPS = 18  # of three epochs; a training is ended within the first three quarters of them
ANEW = 5  # every so many of the killed ones are processes of their own, ended from outside; the others copies of this
MOMENT = 0.05  # seconds at most between the batch of the step and the signal: a step takes about as long
TENSORS = ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers")

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("MCNET_CACHE", str(tmp_path / "cache"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def end_at(batch: int, delay: float, number: signal.Signals, folder: Path, *words: str) -> None:
    """Runs a command in a copy of this process, which gets the signal so long after it has taken a batch."""
    if (child := os.fork()) == 0:
        taken, getitems = 0, TrainingSet.__getitems__

        def take(patches: TrainingSet, indices: list[int]) -> dict[str, Any]:
            nonlocal taken
            taken += 1
            if taken == batch:
                threading.Timer(delay, os.kill, (os.getpid(), number)).start()
            return getitems(patches, indices)

        pytest.MonkeyPatch().setattr(TrainingSet, "__getitems__", take)  # of the copy alone
        try:
            in_process.command(folder, *words)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


@pytest.mark.parametrize("name", ["train", "denoiser", "backbone"])
def test_ten_kills_leave_no_trace(name: str, tmp_path: Path) -> None:
    make_pictures(tmp_path)
    command, _, settings = COMMANDS[name]
    module, *first = command.split("_")
    words = [*first, *settings, *EVERYWHERE, "trainer.max_epochs=3"]
    finish(start(tmp_path, *words, "hydra.run.dir=whole", module=module))
    reference = checkpoint(tmp_path / "whole")
    assert reference["global_step"] == STEPS
    draw, reached = random.Random(0), set()
    for kill in range(KILLS):
        folder, cut = tmp_path / f"cut{kill}", draw.randrange(2, STEPS * 3 // 4)
        number = signal.SIGTERM if kill % 4 == 3 else signal.SIGKILL
        outside = kill % ANEW == 0
        if outside:
            process = start(tmp_path, *words, f"hydra.run.dir={folder}", module=module)
            end_after(process, folder, "checkpoints/last.ckpt", 1 + cut // 3, number)
        else:
            delay = draw.uniform(0, MOMENT)
            end_at(cut + 2, delay, number, tmp_path, module, *words, f"hydra.run.dir={folder}")
        step = checkpoint(folder)["global_step"]
        assert 0 < step < STEPS
        reached.add(step)
        rest = [*words, f"resume={folder}/checkpoints/last.ckpt", f"hydra.run.dir={folder}"]
        if outside:
            output = finish(start(tmp_path, *rest, module=module))
        else:
            done = in_process.command(tmp_path, module, *rest)
            assert done.returncode == 0, done.stderr
            output = done.stdout
        assert "goes on from step" in output
        found = checkpoint(folder)
        assert differing({key: reference[key] for key in TENSORS}, {key: found[key] for key in TENSORS}) == []
        assert differing(reference.get("warm_starts"), found.get("warm_starts")) == []
        history = (folder / "history.csv").read_text()  # the losses of the same patches, step by step
        assert history == (tmp_path / "whole" / "history.csv").read_text()
        print(f"{name}: kill {kill + 1} by {number.name} in step {step}, difference 0.0", flush=True)
    assert len(reached) >= KILLS // 2

"""Commands ended by signals at random steps and resumed: not one bit differs from the uninterrupted run."""

import random
import signal
from pathlib import Path

import pytest
from sweep_commands import end_after, finish, make_pictures, start
from training_commands import COMMANDS, EVERYWHERE, checkpoint, differing

KILLS = 10
WRITES = 12  # of last.ckpt that are waited for at most; an epoch has 6 steps, a training 36
TENSORS = ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers")

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["train", "denoiser", "backbone"])
def test_ten_kills_leave_no_trace(name: str, tmp_path: Path) -> None:
    make_pictures(tmp_path)
    command, _, settings = COMMANDS[name]
    module, *first = command.split("_")
    words = [*first, *settings, *EVERYWHERE, "trainer.max_epochs=6"]
    finish(start(tmp_path, *words, "hydra.run.dir=whole", module=module))
    reference = checkpoint(tmp_path / "whole")
    draw = random.Random(0)
    for kill in range(KILLS):
        folder, cut = tmp_path / f"cut{kill}", draw.randrange(1, WRITES)
        number = signal.SIGTERM if kill % 4 == 3 else signal.SIGKILL
        process = start(tmp_path, *words, f"hydra.run.dir={folder}", module=module)
        end_after(process, folder, "checkpoints/last.ckpt", cut, number)
        resumed = f"resume={folder}/checkpoints/last.ckpt"
        output = finish(start(tmp_path, *words, resumed, f"hydra.run.dir={folder}", module=module))
        assert "goes on from step" in output
        found = checkpoint(folder)
        assert differing({key: reference[key] for key in TENSORS}, {key: found[key] for key in TENSORS}) == []
        assert differing(reference.get("warm_starts"), found.get("warm_starts")) == []
        history = (folder / "history.csv").read_text()  # the losses of the same patches, step by step
        assert history == (tmp_path / "whole" / "history.csv").read_text()

"""Commands ended by signals at random steps and resumed: not one bit differs from the uninterrupted run."""

import random
import signal
from pathlib import Path

import in_process
import pytest
import torch
from sweep_commands import end_after, finish, make_pictures, start
from training_commands import COMMANDS, EVERYWHERE, checkpoint, differing

KILLS = 10
STEPS = 18  # of three epochs; a training is ended within the first three quarters of them
ANEW = 5  # every so many of the killed ones go on in a process of their own, the others in this one
TENSORS = ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers")

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("MCNET_CACHE", str(tmp_path / "cache"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", ["train", "denoiser", "backbone"])
def test_ten_kills_leave_no_trace(name: str, tmp_path: Path) -> None:
    make_pictures(tmp_path)
    command, _, settings = COMMANDS[name]
    module, *first = command.split("_")
    words = [*first, *settings, *EVERYWHERE, "trainer.max_epochs=3"]
    finish(start(tmp_path, *words, "hydra.run.dir=whole", module=module))
    reference = checkpoint(tmp_path / "whole")
    assert reference["global_step"] == STEPS
    draw = random.Random(0)
    for kill in range(KILLS):
        folder, cut = tmp_path / f"cut{kill}", draw.randrange(1, STEPS * 3 // 4)
        number = signal.SIGTERM if kill % 4 == 3 else signal.SIGKILL
        process = start(tmp_path, *words, f"hydra.run.dir={folder}", module=module)
        end_after(process, folder, "checkpoints/last.ckpt", cut, number)
        assert checkpoint(folder)["global_step"] < STEPS
        rest = [*words, f"resume={folder}/checkpoints/last.ckpt", f"hydra.run.dir={folder}"]
        if kill % ANEW:
            done = in_process.command(tmp_path, module, *rest)
            assert done.returncode == 0, done.stderr
            output = done.stdout
        else:
            output = finish(start(tmp_path, *rest, module=module))
        assert "goes on from step" in output
        found = checkpoint(folder)
        assert differing({key: reference[key] for key in TENSORS}, {key: found[key] for key in TENSORS}) == []
        assert differing(reference.get("warm_starts"), found.get("warm_starts")) == []
        history = (folder / "history.csv").read_text()  # the losses of the same patches, step by step
        assert history == (tmp_path / "whole" / "history.csv").read_text()
        print(f"{name}: ended by {number.name} after {cut} checkpoints, difference 0.0", flush=True)

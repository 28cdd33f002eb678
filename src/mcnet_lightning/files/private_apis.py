"""What is used of other packages beyond their promises, in one place: a new version may take any of it away.

tests/files/test_private_apis.py says what breaks, and pyproject.toml bounds the versions. Everything is imported where
it is used: no command waits for what it does not need.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytorch_lightning.loops.fit_loop import _FitLoop
    from torch import Tensor


def hydra_flags() -> argparse.ArgumentParser:
    """Hydra's own parser of its flags."""
    from hydra._internal.utils import get_args_parser

    return get_args_parser()


def fused_convolution_relu(features: "Tensor", weight: "Tensor") -> "Tensor":
    """relu(weight * features) as one operation of oneDNN, which PyTorch offers to its compiler only.

    Raises AttributeError, RuntimeError or TypeError where there is none, or another form of it.
    """
    import torch

    padding = [weight.shape[-1] // 2] * 2
    return torch.ops.mkldnn._convolution_pointwise(features, weight, None, padding, [1, 1], [1, 1], 1, "relu", [], "")


def workspace_specification(board: Any) -> dict[str, Any]:
    """A workspace of wandb-workspaces as W&B stores it, without the login that saving it would need."""
    return dict(board._spec)


def accumulates(loop: "_FitLoop") -> bool:
    """Whether Lightning is between the batches of one step."""
    return bool(loop._should_accumulate())


@contextmanager
def counted_as_open(loop: "_FitLoop") -> Iterator[None]:
    """An epoch that was cut short, by `max_steps` or `max_time`, is one to go on with: Lightning counts it as over."""
    from pytorch_lightning.loops.progress import _ProcessedTracker

    cut = int(loop.epoch_loop.batch_progress.current.ready < loop.max_batches)
    trackers = [each for each in vars(loop.epoch_progress).values() if isinstance(each, _ProcessedTracker)]
    for tracker in trackers:
        tracker.processed -= cut
    yield
    for tracker in trackers:
        tracker.processed += cut


def take_up_loops(loop: "_FitLoop") -> None:
    """What Lightning counts twice when it goes on: with `max_steps` an epoch that had ended, and a step that was
    validated in the midst of an epoch.
    """
    steps = loop.epoch_loop
    if loop.restarted_on_epoch_end:
        loop.epoch_progress.increment_completed()
        for each in (loop, steps, steps.val_loop):
            each._restarting = False
            each.reset_restart_stage()
    assert loop._data_fetcher is not None
    if steps.restarting and steps.restarted_on_last and steps._should_check_val_fx(loop._data_fetcher):
        steps._batches_that_stepped -= 1

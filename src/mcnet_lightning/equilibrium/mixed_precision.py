"""Anderson acceleration with most evaluations in half precision, to a result of full precision.

Half precision alone stalls at a residual of 5e-4. Here it goes there quickly; then T is evaluated exactly, and the
iteration goes on with the denoiser's tangent at that point, in half precision. The tangent's error is a share of the
distance from there; when the residual is no longer large against it, T is evaluated exactly again, which also says how
large that share was. That is Newton's method, each step solved as far as it is worth, with one history for all of them.
Only exact evaluations decide that a sample has converged, and where a round does not help, full precision takes over.
"""

import numpy as np
import torch
from torch import Tensor

from mcnet_lightning.equilibrium.anderson import Array, Run, SelectableMap, norms
from mcnet_lightning.equilibrium.splitting import DouglasRachfordMap

ROUGH_RESIDUAL, ROUGH_EVALUATIONS = 7e-4, 5  # where rounding begins to show, and how long to try
NEARLY = 1.2  # times the tolerance: where a tangent is left, because the exact evaluation comes one step later
# of the distance from the exact evaluation: smaller gaps T(y) - y of a tangent say little. At first; and then as many
# times what the last tangent was found to be off by, within limits
TRUSTED_SHARE, TRUSTED_TIMES, TRUSTED_LEAST, TRUSTED_MOST = 0.1, 1.2, 0.03, 0.2
ROUND_EVALUATIONS = 8  # between exact ones at most
WORTHWHILE = 0.8  # a round must bring the exact residual down to this share of the one before
TANGENTS_UP_TO = 2**21  # values of a batch of states: a tangent keeps 0.64 kB for each
COMPACT_BELOW = 0.5  # share of samples still active at which it pays to copy what is kept of them


@torch.no_grad()
def approach(run: Run, whole: DouglasRachfordMap, tolerance: float, max_evaluations: int) -> None:
    """Takes the samples of `run` to the end, or as far as half precision can; the rest is for plain iteration."""
    rounded = whole.rounded(torch.bfloat16)
    if rounded is None or max_evaluations < 3:
        return
    start, rows = run.state.clone(), run.unfinished
    _explore(run, rows, rounded, max(ROUGH_RESIDUAL, tolerance), min(ROUGH_EVALUATIONS, max_evaluations - 1))
    # a start that was within rounding already, a warm one, is better than what rounding makes of it
    run.state = torch.where(run.on_device(run.evaluations > 1)[:, None], run.state, start)
    previous, trusted = np.full(len(start), np.inf), np.full(len(start), TRUSTED_SHARE)
    base: Tensor | None = None
    small = run.state.numel() <= TANGENTS_UP_TO
    while len(rows):
        run.forget_values(rows)
        near = whole.select(run.on_device(rows)).tangent(torch.bfloat16) if small else None
        if near is None:
            return
        last, base = base, run.state.clone()
        residual = run.observe(rows, near(run.states(rows)))
        if last is not None:
            off = run.distance[rows] / np.maximum(norms(run.state - last)[rows], torch.finfo(start.dtype).tiny)
            trusted[rows] = np.clip(TRUSTED_TIMES * off, TRUSTED_LEAST, TRUSTED_MOST)
        going = run.judge(rows, residual, tolerance)
        if len(going) == 0:
            return
        run.advance(going)
        reached = run.trace[-1]
        going = going[reached[going] <= WORTHWHILE * previous[going]]
        left = max_evaluations - int(run.evaluations.max())
        if left < 2 or len(going) == 0:
            return
        nearby = _Compacting(near, run.states(rows))
        _explore(run, rows, nearby, NEARLY * tolerance, min(ROUND_EVALUATIONS, left - 1), going, base, trusted)
        rows, previous = going, reached
        del near, nearby  # before the next ones are made


def _explore(
    run: Run,
    rows: Array,
    whole: SelectableMap,
    target: float,
    evaluations: int,
    going: Array | None = None,
    base: Tensor | None = None,
    trusted: Array | None = None,
) -> None:
    """Moves samples by evaluations of something near T, given for `rows`, each until its residual is below `target` or,
    of a tangent at `base`, not to be believed: all of `rows`, or those `going`.
    """
    index = np.arange(len(rows)) if going is None else np.searchsorted(rows, going)
    current = whole if len(index) == len(rows) else whole.select(run.on_device(index))
    for _ in range(evaluations):
        moving = rows[index]
        residual = run.observe(moving, current(run.states(moving)))
        on = residual > target
        if base is not None and trusted is not None:
            on &= run.distance[moving] > trusted[moving] * norms(run.state - base)[moving]
        run.advance(moving)
        if not on.any():
            return
        if not on.all():
            index = index[on]
            current = whole.select(run.on_device(index))


class _Compacting:
    """A map that keeps much of every sample: others than the active are dropped when they are many, else evaluated."""

    def __init__(self, whole: DouglasRachfordMap, states: Tensor) -> None:
        self.map, self.states = whole, states.clone()
        self.held = torch.arange(len(states), device=states.device)

    def __call__(self, state: Tensor) -> Tensor:
        return self.map(state)

    def select(self, index: Tensor) -> "DouglasRachfordMap | _Scattered":
        rows = torch.searchsorted(self.held, index)
        if len(index) > COMPACT_BELOW * len(self.held):
            return _Scattered(self.map, self.states, rows)
        self.map, self.states, self.held = self.map.select(rows), self.states[rows], index
        return self.map


class _Scattered:
    """A map of a whole batch, for some rows of it."""

    def __init__(self, whole: DouglasRachfordMap, states: Tensor, rows: Tensor) -> None:
        self.whole, self.states, self.rows = whole, states, rows

    def __call__(self, state: Tensor) -> Tensor:
        self.states[self.rows] = state
        return self.whole(self.states)[self.rows]

"""Anderson acceleration with most evaluations in half precision, to a result of full precision.

Half precision alone stalls at a residual of 5e-4. Here it goes there quickly; then T is evaluated exactly, and the
iteration goes on with increments in half precision, whose error is a share of the distance from that exact evaluation.
A few rounds of this reach any tolerance that float32 reaches. Only exact evaluations decide that a sample has
converged, and where a round does not help, full precision takes over.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from mcnet_lightning.equilibrium.anderson import Run, SelectableMap
from mcnet_lightning.equilibrium.splitting import DouglasRachfordMap

ROUGH_RESIDUAL, ROUGH_EVALUATIONS = 7e-4, 5  # where rounding begins to show, and how long to try
NEARLY = 1.2  # times the tolerance: where increments end, because the exact evaluation comes one step later
# of increments, against the distance from the exact evaluation: residuals below the first share are not believed, and
# below the second not if they fall no more
TRUSTED_SHARE, NOISY_SHARE, STALLED = 1.5e-3, 0.1, 0.8
ROUND_EVALUATIONS = 30  # between exact ones at most
WORTHWHILE = 0.5  # a round must bring the exact residual down to this share of the one before
INCREMENTS_UP_TO = 2**21  # values of a batch of states: the increments keep 1.3 kB for each
COMPACT_BELOW = 0.6  # share of samples still active at which it pays to copy what is kept of them


@torch.no_grad()
def approach(run: Run, whole: DouglasRachfordMap, tolerance: float, max_evaluations: int) -> None:
    """Takes the samples of `run` to the end, or as far as half precision can; the rest is for plain iteration."""
    rounded = whole.rounded(torch.bfloat16)
    if rounded is None or max_evaluations < 3:
        return
    start, rows = run.state.clone(), run.unfinished
    _explore(run, rows, rounded, max(ROUGH_RESIDUAL, tolerance), min(ROUGH_EVALUATIONS, max_evaluations - 1))
    # a start that was within rounding already, a warm one, is better than what rounding makes of it
    run.state = torch.where((run.evaluations > 1)[:, None], run.state, start)
    previous = torch.full_like(run.best_residual, torch.inf)
    if run.state.numel() > INCREMENTS_UP_TO:
        run.forget_values(rows)
        return
    while len(rows):
        near = whole.select(rows).incremental(torch.bfloat16)
        if near is None:
            run.forget_values(rows)
            return
        base = run.state.clone()
        run.forget_values(rows)
        residual = run.observe(rows, near(run.states(rows)))
        going = run.judge(rows, residual, tolerance)
        if len(going) == 0:
            return
        left = max_evaluations - int(run.evaluations.max())
        worthwhile = bool((run.trace[-1][going] <= WORTHWHILE * previous[going]).all())
        run.advance(going)
        if left < 2 or not worthwhile:
            return
        previous = run.trace[-1]
        kept = torch.searchsorted(rows, going)
        nearby = _Compacting(near.select(kept) if len(going) < len(rows) else near, run.states(going))
        rows = going
        _explore(run, rows, nearby, NEARLY * tolerance, min(ROUND_EVALUATIONS, left - 1), base)
        del near, nearby  # before the next ones are made


def _explore(
    run: Run, rows: Tensor, whole: SelectableMap, target: float, evaluations: int, base: Tensor | None = None
) -> None:
    """Moves `rows` by evaluations of something near T, each until its residual is below `target` or, far from `base`,
    not to be believed.
    """
    index = torch.arange(len(rows), device=rows.device)
    current: Callable[[Tensor], Tensor] = whole
    last = torch.full_like(run.best_residual, torch.inf)
    for _ in range(evaluations):
        moving = rows[index]
        residual = run.observe(moving, current(run.states(moving)))
        going = residual > target
        if base is not None:
            state = run.of(run.state, moving)
            gap, distance = ((run.of(other, moving) - state).norm(dim=1) for other in (run.value, base))
            stalled = (residual > STALLED * last[moving]) & (gap < NOISY_SHARE * distance)
            going &= (gap > TRUSTED_SHARE * distance) & ~stalled
        last[moving] = residual
        run.advance(moving)
        if not bool(going.any()):
            return
        if not bool(going.all()):
            index = index[going]
            current = whole.select(index)


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

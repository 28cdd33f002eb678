"""Anderson acceleration with most evaluations in half precision, to a result of full precision.

Half precision alone stalls at a residual of 5e-4. Here it goes there quickly; then T is evaluated exactly, and the
iteration goes on with the denoiser's tangent at that point, in half precision. The tangent's error is a share of the
distance from there; when the residual is no longer large against it, T is evaluated exactly again, which also says how
large that share was. That is Newton's method, each step solved as far as it is worth, with one history for all of them.
Only exact evaluations decide that a sample has converged, and where a round does not help, full precision takes over.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from mcnet_lightning.equilibrium.anderson import Run, norms
from mcnet_lightning.equilibrium.parts import Array, Part, SelectableMap

ROUGH_RESIDUAL, ROUGH_EVALUATIONS = 7e-4, 5  # where rounding begins to show, and how long to try
NEARLY = 1.2  # times the tolerance: where a tangent is left, because the exact evaluation comes one step later
# of the distance from the exact evaluation: smaller gaps T(y) - y of a tangent say little. At first; and then as many
# times what the last tangent was found to be off by, within limits
TRUSTED_SHARE, TRUSTED_TIMES, TRUSTED_LEAST, TRUSTED_MOST = 0.1, 1.2, 0.03, 0.2
ROUND_EVALUATIONS = 8  # between exact ones at most
WORTHWHILE = 0.8  # a round must bring the exact residual down to this share of the one before
TANGENTS_UP_TO = 2**21  # values of a batch of states: a tangent keeps 0.64 kB for each
COPIED_BELOW = 0.5  # share of samples still active at which it pays to copy what is kept of them


@runtime_checkable
class LinearisableMap(SelectableMap, Protocol):
    """T that has forms in half precision, or None in their place: rounded, and near a state with a tangent in it.

    linearise: T(y); something near T, exact at y; and u -> T'(y)^T u.
    """

    def rounded(self, dtype: torch.dtype) -> SelectableMap | None: ...

    def linearise(
        self, state: Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, SelectableMap, Callable[[Tensor], Tensor]] | None: ...

    def select(self, index: Tensor) -> "LinearisableMap": ...


@torch.no_grad()
def iterate_in_half(run: Run, whole: LinearisableMap, tolerance: float, max_evaluations: int) -> None:
    """Takes the samples of `run` to the end, or as far as half precision can; the rest is for plain iteration."""
    rounded = whole.rounded(torch.bfloat16)
    if rounded is None or max_evaluations < 3:
        return
    start, rows = run.state.clone(), run.unfinished
    part = Part(rounded, run.states(rows))
    _explore(run, rows, part, rows, max(ROUGH_RESIDUAL, tolerance), min(ROUGH_EVALUATIONS, max_evaluations - 1))
    # a start that was within rounding already, a warm one, is better than what rounding makes of it
    run.state = torch.where(run.on_device(run.evaluations > 1)[:, None], run.state, start)
    previous, trusted = np.full(len(start), np.inf), np.full(len(start), TRUSTED_SHARE)
    base: Tensor | None = None
    small = run.state.numel() <= TANGENTS_UP_TO
    while len(rows):
        run.keep_differences(rows)
        states = run.states(rows)
        linearised = whole.select(run.on_device(rows)).linearise(states, torch.bfloat16) if small else None
        if linearised is None:
            return
        value, near, _ = linearised
        last, base = base, run.state.clone()
        residual = run.observe(rows, value)
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
        part = Part(near, states, COPIED_BELOW)
        _explore(run, rows, part, going, NEARLY * tolerance, min(ROUND_EVALUATIONS, left - 1), base, trusted)
        rows, previous = going, reached
        del linearised, near, part  # before the next ones are made


def _explore(
    run: Run,
    rows: Array,
    part: Part,
    going: Array,
    target: float,
    evaluations: int,
    base: Tensor | None = None,
    trusted: Array | None = None,
) -> None:
    """Moves the samples `going`, some of `rows`, by evaluations of `part`, something near T for all of these, each
    until its residual is below `target` or, of a tangent at `base`, not to be believed.
    """
    current = part.of(np.searchsorted(rows, going))
    for _ in range(evaluations):
        residual = run.observe(going, current(run.states(going)))
        on = residual > target
        if base is not None and trusted is not None:
            on &= run.distance[going] > trusted[going] * norms(run.state - base)[going]
        run.advance(going)
        if not on.any():
            return
        if not on.all():
            going = going[on]
            current = part.of(np.searchsorted(rows, going))

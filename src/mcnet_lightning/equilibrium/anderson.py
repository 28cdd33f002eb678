"""The machinery of Anderson acceleration: history, small system, restarts and end of every sample of a batch."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from mcnet_lightning.equilibrium.stats import Outcome, SolveStats

RESTART_GROWTH = 10.0  # a residual this many times the smallest so far empties the history
DAMPED_AFTER = 3  # restarts after which a sample is left to damped Picard iteration
DAMPING = 0.5
LARGEST_COEFFICIENT = 1e8  # beyond it the small system counts as singular


class SelectableMap(Protocol):
    """T, acting on each sample of (B, ...) by itself; `select` gives it for some samples of its batch."""

    def __call__(self, state: Tensor) -> Tensor: ...

    def select(self, index: Tensor) -> Callable[[Tensor], Tensor]: ...


class Run:
    """One solve: a row of every buffer per sample. `rows` below are the samples that a step concerns, in order."""

    def __init__(self, start: Tensor, history_size: int, mixing: float, ridge: float) -> None:
        batch, device = len(start), start.device
        self.shape, self.history_size, self.mixing, self.ridge = start.shape[1:], history_size, mixing, ridge
        self.state = start.flatten(1).clone()
        self.value = self.state.clone()  # T(state), once it is known
        # history, one slot per past evaluation
        self.values = self.state.new_zeros(batch, history_size, self.state.shape[1])
        self.gaps = torch.zeros_like(self.values)
        self.gram = torch.zeros(batch, history_size, history_size, dtype=torch.float64, device=device)
        self.filled = torch.zeros(batch, history_size, dtype=torch.bool, device=device)
        self.summed = torch.zeros_like(self.filled)  # values of T; the other slots hold differences of two
        self.newest = torch.full((batch,), -1, device=device)
        self.restarts = torch.zeros(batch, dtype=torch.long, device=device)
        self.smallest = torch.full((batch,), torch.inf, dtype=torch.float64, device=device)
        # results
        self.best = self.state.clone()
        self.best_residual = torch.full((batch,), torch.inf, dtype=torch.float64, device=device)
        self.evaluations = torch.zeros(batch, dtype=torch.long, device=device)
        self.outcome = torch.full((batch,), int(Outcome.MAX_EVALUATIONS), device=device)
        self.trace: list[Tensor] = []

    @property
    def unfinished(self) -> Tensor:
        """The samples that have neither converged nor broken down."""
        return (self.outcome == int(Outcome.MAX_EVALUATIONS)).nonzero().squeeze(1)

    def states(self, rows: Tensor) -> Tensor:
        """(rows, ...), to be evaluated."""
        return self.of(self.state, rows).view(-1, *self.shape)

    def observe(self, rows: Tensor, value: Tensor) -> Tensor:
        """Takes T(state) of `rows`, or something near it; returns the relative residuals."""
        value = value.flatten(1)
        gap, residual = self._count(rows, value)
        self._write(rows, value, gap)
        smallest = self.of(self.smallest, rows)
        runaway = residual > RESTART_GROWTH * smallest
        if bool(runaway.any()):
            self.filled[rows[runaway]] = False  # it goes on from the best iterate
            self.restarts[rows[runaway]] += 1
        self._put(self.smallest, rows, torch.fmin(smallest, residual))
        return residual

    def forget_values(self, rows: Tensor) -> None:
        """Keeps of the history only what it says of changes of T: what follows is of a map with other values. Samples
        that have met NaN or Inf begin anew, at their best.
        """
        broken = rows[~torch.isfinite(self.state[rows] + self.value[rows]).all(dim=1)]
        self.state[broken] = self.value[broken] = self.best[broken]
        self.values[broken] = self.gaps[broken] = 0.0
        self.filled[broken] = False
        newest = self.newest[rows, None]
        slots = self.filled[rows] & self.summed[rows]
        for buffer in (self.values, self.gaps):
            history = buffer[rows]
            reference = history.gather(1, newest[:, :, None].expand(-1, 1, history.shape[2]))
            buffer[rows] = torch.where(slots[:, :, None], history - reference, history)
        self.filled[rows] = self.filled[rows].scatter(1, newest, False)
        self.summed[rows] = False
        gaps = self.of(self.gaps, rows)
        self.gram[rows] = torch.bmm(gaps, gaps.transpose(1, 2)).double()

    def judge(self, rows: Tensor, residual: Tensor, tolerance: float) -> Tensor:
        """Keeps the best of `rows`, whose exact T(state) was taken last, and ends what can end; returns the others."""
        finite = torch.isfinite(residual)
        better = finite & (residual < self.best_residual[rows])
        self.best[rows[better]] = self.value[rows[better]]
        self.best_residual[rows[better]] = residual[better]
        done = finite & (residual <= tolerance)
        self.outcome[rows[done]] = int(Outcome.CONVERGED)
        self.outcome[rows[~finite]] = int(Outcome.NON_FINITE)
        return rows[finite & ~done]

    def advance(self, rows: Tensor) -> None:
        """Moves `rows` to their next states."""
        gram, filled, newest, summed, restarts = (
            self.of(buffer, rows) for buffer in (self.gram, self.filled, self.newest, self.summed, self.restarts)
        )
        weights, singular = anderson_weights(gram, filled, newest, self.ridge, summed)
        restarted = ~filled.any(dim=1)
        damped = (restarts + singular >= DAMPED_AFTER) & ~restarted
        if bool(singular.any()):
            spoiled = rows[singular]
            self.filled[spoiled] = False
            self.filled[spoiled, self.newest[spoiled]] = True
            self.restarts[spoiled] += 1
        weights = weights.to(self.values.dtype).unsqueeze(1)
        state = torch.bmm(weights, self.of(self.values, rows)).squeeze(1)
        if self.mixing < 1:
            state = state - (1 - self.mixing) * torch.bmm(weights, self.of(self.gaps, rows)).squeeze(1)
        if bool(restarted.any()):
            state = torch.where(restarted[:, None], self.of(self.best, rows), state)
        if bool(damped.any()):
            picard = DAMPING * (self.of(self.value, rows) + self.of(self.state, rows))
            state = torch.where(damped[:, None], picard, state)
        self._put(self.state, rows, state)

    def result(self) -> tuple[Tensor, SolveStats]:
        """What was found for every sample of the batch."""
        trace = torch.stack(self.trace)
        residual = torch.where(torch.isinf(self.best_residual), torch.nan, self.best_residual)
        stats = SolveStats(self.evaluations.cpu(), residual.cpu(), self.outcome.cpu(), trace.cpu())
        return self.best.view(-1, *self.shape), stats

    def _count(self, rows: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """T(y) - y and its norm relative to T(y); one more evaluation of each."""
        gap = value - self.of(self.state, rows)
        residual = gap.norm(dim=1).double() / value.norm(dim=1).clamp_min(torch.finfo(value.dtype).tiny)
        self._put(self.evaluations, rows, self.of(self.evaluations, rows) + 1)
        trace = torch.full_like(self.best_residual, torch.nan)
        self._put(trace, rows, residual)
        self.trace.append(trace)
        return gap, residual

    def _write(self, rows: Tensor, value: Tensor, gap: Tensor) -> None:
        slot = (self.of(self.newest, rows) + 1) % self.history_size
        self._put(self.newest, rows, slot)
        self._put(self.value, rows, value)
        self.values[rows, slot], self.gaps[rows, slot] = value, gap
        self.filled[rows, slot] = self.summed[rows, slot] = True
        products = torch.bmm(self.of(self.gaps, rows), gap.unsqueeze(2)).squeeze(2).double()
        self.gram[rows, slot] = products
        self.gram[rows, :, slot] = products

    def of(self, buffer: Tensor, rows: Tensor) -> Tensor:
        """The rows of a buffer: itself, not a copy, where they are all."""
        return buffer if len(rows) == len(buffer) else buffer[rows]

    def _put(self, buffer: Tensor, rows: Tensor, value: Tensor) -> None:
        if len(rows) == len(buffer):
            buffer.copy_(value)
        else:
            buffer[rows] = value


def iterate(run: Run, whole: SelectableMap, tolerance: float, max_evaluations: int) -> None:
    """Evaluates T at the states of `run` and moves on, until all have ended or the most evaluations are made."""
    rows = run.unfinished
    left = max_evaluations - int(run.evaluations.max())
    current = whole if len(rows) == len(run.state) else whole.select(rows)
    for _ in range(left):
        if len(rows) == 0:
            return
        residual = run.observe(rows, current(run.states(rows)))
        going = run.judge(rows, residual, tolerance)
        if len(going) < len(rows):
            rows, current = going, whole.select(going)
        run.advance(rows)


def anderson_weights(
    gram: Tensor, filled: Tensor, newest: Tensor, ridge: float, summed: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mixing weights a (B, m) that minimise ||sum_i a_i g_i||^2 with sum_i a_i = 1, from the Gram matrix <g_i, g_j>.

    gram: (B, m, m) float64; filled: (B, m) bool, the slots in use; newest: (B,), the last one filled; summed: (B, m)
    bool, the slots that the sum runs over, all by default: differences of residuals have no part in it. Where the
    system is singular the weights fall back to the newest residual alone; the second result (B,) says where.
    """
    size = torch.diagonal(gram, dim1=1, dim2=2).clamp_min(0).sqrt()
    usable = filled & (size > 0)
    inverse = torch.where(usable, size.reciprocal(), 0.0)
    system = gram * inverse[:, :, None] * inverse[:, None, :]
    torch.diagonal(system, dim1=1, dim2=2).add_(torch.where(usable, ridge, 1.0))
    # in units of |g_newest|, so that the right side is neither huge nor tiny
    scaled = inverse * size.gather(1, newest[:, None]).clamp_min(torch.finfo(torch.float64).tiny)
    counted = scaled if summed is None else scaled * summed
    solution, info = torch.linalg.solve_ex(system, counted.unsqueeze(2))
    solution = solution.squeeze(2)
    weights = solution * scaled / (solution * counted).sum(dim=1, keepdim=True)
    sound = (info == 0) & (weights.abs().sum(dim=1) < LARGEST_COEFFICIENT)  # NaN is not
    if bool(sound.all()):
        return weights, ~sound
    fallback = torch.zeros_like(weights).scatter(1, newest[:, None], 1.0)
    return torch.where(sound[:, None], weights, fallback), ~sound & filled.any(dim=1)

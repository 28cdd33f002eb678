"""The machinery of Anderson acceleration: history, small system, restarts and end of every sample of a batch."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mcnet_lightning.equilibrium.parts import Array, Part, SelectableMap
from mcnet_lightning.equilibrium.stats import Outcome, SolveStats

RESTART_GROWTH = 10.0  # a residual this many times the smallest so far empties the history
DAMPED_AFTER = 3  # restarts after which a sample is left to damped Picard iteration
DAMPING = 0.5
PATIENCE = 5  # evaluations in a row without a smaller residual, after which an iteration without memory is damped
LARGEST_COEFFICIENT = 1e8  # beyond it the small system counts as singular


class Run:
    """One solve: a row of every buffer per sample. `rows` below are the samples that a step concerns, in order.

    What is as long as a state lives on the device; decisions and small systems are numbers on the host.
    """

    def __init__(self, start: Tensor, history_size: int, mixing: float, ridge: float) -> None:
        batch = len(start)
        self.shape, self.history_size, self.mixing, self.ridge = start.shape[1:], history_size, mixing, ridge
        self.state = start.flatten(1).clone()
        self.value = self.state.clone()  # T(state), once it is known
        self.distance = np.zeros(batch)  # ||T(state) - state||
        # history, one slot per past evaluation: T(y) - y, and y + mixing (T(y) - y)
        self.gaps = self.state.new_zeros(batch, history_size, self.state.shape[1])
        self.relaxed = torch.zeros_like(self.gaps)
        self.gram = np.zeros((batch, history_size, history_size))
        self.filled = np.zeros((batch, history_size), dtype=bool)
        self.absolute = np.zeros_like(self.filled)  # the other slots in use hold differences of two
        self.newest = np.full(batch, -1)
        self.restarts = np.zeros(batch, dtype=int)
        self.smallest = np.full(batch, np.inf)
        self.stale = np.zeros(batch, dtype=int)  # evaluations since the smallest
        # results
        self.best = self.state.clone()
        self.best_residual = np.full(batch, np.inf)
        self.evaluations = np.zeros(batch, dtype=int)
        self.outcome = np.full(batch, int(Outcome.MAX_EVALUATIONS))
        self.trace: list[Array] = []

    @property
    def unfinished(self) -> Array:
        """The samples that have neither converged nor broken down."""
        return np.flatnonzero(self.outcome == int(Outcome.MAX_EVALUATIONS))

    def states(self, rows: Array) -> Tensor:
        """(rows, ...), to be evaluated."""
        return self._of(self.state, rows).view(-1, *self.shape)

    def observe(self, rows: Array, value: Tensor) -> Array:
        """Takes T(state) of `rows`, or something near it; returns the relative residuals."""
        self._put(self.value, rows, value.flatten(1))
        self.evaluations[rows] += 1
        distance, size = self._write(rows)
        with np.errstate(invalid="ignore"):  # Inf is found by its NaN
            residual = distance / np.maximum(size, torch.finfo(value.dtype).tiny)
        self.distance[rows] = distance
        self.trace.append(np.full(len(self.state), np.nan))
        self.trace[-1][rows] = residual
        runaway = rows[residual > RESTART_GROWTH * self.smallest[rows]]
        self.filled[runaway] = False  # it goes on from the best iterate
        self.restarts[runaway] += 1
        self.stale[rows] = np.where(residual < self.smallest[rows], 0, self.stale[rows] + 1)
        if self.history_size == 1:
            self.restarts[rows[self.stale[rows] >= PATIENCE]] = DAMPED_AFTER
        self.smallest[rows] = np.fmin(self.smallest[rows], residual)
        return residual

    def keep_differences(self, rows: Array) -> None:
        """Keeps of the history only what it says of changes of T: what follows is of a map with other values. Samples
        that have met NaN or Inf begin anew, at their best.
        """
        broken = rows[~np.isfinite(self.distance[rows])]
        if len(broken):
            index = self.on_device(broken)
            self.state[index] = self.value[index] = self.best[index]
            self.relaxed[index] = self.gaps[index] = 0.0
            self.filled[broken] = False
        slots = np.zeros_like(self.filled)
        slots[rows] = self.filled[rows] & self.absolute[rows]
        less, newest = self.on_device(slots)[:, :, None], self.on_device(np.maximum(self.newest, 0))
        for buffer in (self.relaxed, self.gaps):
            reference = buffer[torch.arange(len(buffer), device=buffer.device), newest]
            buffer.addcmul_(less.to(buffer.dtype), reference[:, None], value=-1)
        self.filled[rows, self.newest[rows]] = False
        self.absolute[rows] = False
        self.gram[rows] = torch.bmm(self.gaps, self.gaps.mT).cpu().double().numpy()[rows]

    def judge(self, rows: Array, residual: Array, tolerance: float) -> Array:
        """Keeps the best of `rows`, whose exact T(state) was taken last, and ends what can end; returns the others."""
        finite = np.isfinite(residual)
        better = rows[finite & (residual < self.best_residual[rows])]
        self._put(self.best, better, self._of(self.value, better))
        self.best_residual[rows] = np.fmin(self.best_residual[rows], residual)
        done = finite & (residual <= tolerance)
        self.outcome[rows[done]] = int(Outcome.CONVERGED)
        self.outcome[rows[~finite]] = int(Outcome.NON_FINITE)
        return rows[finite & ~done]

    def advance(self, rows: Array) -> None:
        """Moves `rows` to their next states."""
        filled, newest = self.filled[rows], self.newest[rows]
        weights, singular = anderson_weights(self.gram[rows], filled, newest, self.ridge, self.absolute[rows])
        restarted: Array = np.logical_not(filled.any(axis=1))
        damped = (self.restarts[rows] + singular >= DAMPED_AFTER) & ~restarted
        spoiled = rows[singular]
        self.filled[spoiled] = False
        self.filled[spoiled, self.newest[spoiled]] = True
        self.restarts[spoiled] += 1
        combination = np.zeros_like(self.filled, dtype=weights.dtype)
        combination[rows] = weights
        state = torch.bmm(self.on_device(combination).unsqueeze(1), self.relaxed).squeeze(1)
        if restarted.any():
            state = self._instead(state, rows[restarted], self.best)
        if damped.any():
            state = self._instead(state, rows[damped], torch.lerp(self.state, self.value, min(DAMPING, self.mixing)))
        self.state = state if len(rows) == len(state) else self._instead(self.state, rows, state)

    def result(self) -> tuple[Tensor, SolveStats]:
        """What was found for every sample of the batch."""
        residual = np.where(np.isinf(self.best_residual), np.nan, self.best_residual)
        found = (self.evaluations, residual, self.outcome, np.stack(self.trace))
        return self.best.view(-1, *self.shape), SolveStats(*map(torch.from_numpy, found))

    def _of(self, buffer: Tensor, rows: Array) -> Tensor:
        """The rows of a buffer: itself, not a copy, where they are all."""
        return buffer if len(rows) == len(buffer) else buffer[self.on_device(rows)]

    def on_device(self, array: Array) -> Tensor:
        """Numbers of the host as a tensor beside the states, real ones in their precision: float64 stays here."""
        tensor = torch.from_numpy(array)
        return (tensor.to(self.state.dtype) if tensor.is_floating_point() else tensor).to(self.state.device)

    def _put(self, buffer: Tensor, rows: Array, value: Tensor) -> None:
        if len(rows) == len(buffer):
            buffer.copy_(value)
        elif len(rows):
            buffer[self.on_device(rows)] = value

    def _instead(self, whole: Tensor, rows: Array, other: Tensor) -> Tensor:
        """`whole` with some rows of `other`."""
        chosen = np.zeros((len(whole), 1), dtype=bool)
        chosen[rows] = True
        return torch.where(self.on_device(chosen), other, whole)

    def _write(self, rows: Array) -> tuple[Array, Array]:
        """The latest evaluations of `rows` into their oldest slots; returns ||T(y) - y|| and ||T(y)||.

        The whole batch is computed: a copy of a part of the history would cost more.
        """
        slot = (self.newest[rows] + 1) % self.history_size
        self.newest[rows] = slot
        gap = self.value - self.state
        relaxed = torch.add(self.value, gap, alpha=self.mixing - 1)
        if len(rows) == len(self.state) and (slot == slot[0]).all():
            self.gaps[:, slot[0]], self.relaxed[:, slot[0]] = gap, relaxed
        else:
            index, slots = self.on_device(rows), self.on_device(slot)
            self.gaps[index, slots], self.relaxed[index, slots] = gap[index], relaxed[index]
        self.filled[rows, slot] = self.absolute[rows, slot] = True
        size = torch.linalg.vector_norm(self.value, dim=1, keepdim=True)
        numbers = torch.cat([torch.bmm(gap.unsqueeze(1), self.gaps.mT).squeeze(1), size], dim=1)
        found = numbers.cpu().double().numpy()[rows]
        products = found[:, :-1]
        self.gram[rows, slot] = products
        self.gram[rows, :, slot] = products
        return np.sqrt(products[np.arange(len(rows)), slot]), found[:, -1]


def norms(vectors: Tensor) -> Array:
    """The l2 norm of every row, on the host."""
    found: Array = torch.linalg.vector_norm(vectors, dim=1).cpu().double().numpy()
    return found


def iterate(
    run: Run, whole: SelectableMap | Callable[[Tensor], Tensor], tolerance: float, max_evaluations: int
) -> None:
    """Evaluates T at the states of `run` and moves on, until all have ended or the most evaluations are made."""
    rows, part = run.unfinished, Part(whole, run.state.view(-1, *run.shape))
    current = part.of(rows)
    for _ in range(max_evaluations - int(run.evaluations.max())):
        if len(rows) == 0:
            return
        residual = run.observe(rows, current(run.states(rows)))
        going = run.judge(rows, residual, tolerance)
        if len(going) < len(rows):
            rows, current = going, part.of(going)
        run.advance(rows)


def anderson_weights(
    gram: Array, filled: Array, newest: Array, ridge: float, absolute: Array | None = None
) -> tuple[Array, Array]:
    """Mixing weights a (B, m) that minimise ||sum_i a_i g_i||^2 with sum_i a_i = 1, from the Gram matrix <g_i, g_j>.

    gram: (B, m, m) float64; filled: (B, m) bool, the slots in use; newest: (B,), the last one filled; absolute:
    (B, m) bool, the slots that the sum runs over, all by default: differences of residuals have no part in it. Where
    the system is singular the weights fall back to the newest residual alone; the second result (B,) says where.
    """
    each, slots = np.arange(len(gram)), np.arange(gram.shape[1])
    with np.errstate(all="ignore"):
        size = np.sqrt(np.maximum(gram[:, slots, slots], 0))
        usable = filled & (size > 0)
        inverse = np.where(usable, 1 / size, 0.0)
        system = gram * inverse[:, :, None] * inverse[:, None, :]
        system[:, slots, slots] += np.where(usable, ridge, 1.0)
        # in units of |g_newest|, so that the right side is neither huge nor tiny
        scaled = inverse * np.maximum(size[each, newest], np.finfo(np.float64).tiny)[:, None]
        counted = scaled if absolute is None else scaled * absolute
        # torch reports singular systems one by one, where numpy raises
        solution, info = torch.linalg.solve_ex(torch.from_numpy(system), torch.from_numpy(counted)[:, :, None])
        solved = solution.squeeze(2).numpy()
        weights = solved * scaled / (solved * counted).sum(axis=1, keepdims=True)
        sound = (info.numpy() == 0) & (np.abs(weights).sum(axis=1) < LARGEST_COEFFICIENT)  # NaN is not
    weights[~sound] = 0.0
    weights[~sound, newest[~sound]] = 1.0
    return weights, ~sound & filled.any(axis=1)

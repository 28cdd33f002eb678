"""Maps that act on each sample of a batch by itself, so that those which are done can be left out."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[Any]


@runtime_checkable
class SelectableMap(Protocol):
    """T, acting on each sample of (B, ...) by itself; `select` gives it for some samples of its batch."""

    def __call__(self, state: Tensor, /) -> Tensor: ...

    def select(self, index: Tensor) -> "SelectableMap": ...


class Part:
    """A map of a batch, for fewer and fewer of its samples.

    By the map's own `select`, once at most `copied_below` of the samples that it is for are left; until then, and for
    plain functions always, by evaluating it for all of these, the others at states where they were before.
    """

    def __init__(
        self, function: SelectableMap | Callable[[Tensor], Tensor], states: Tensor, copied_below: float = 1.0
    ) -> None:
        self.function, self.states, self.copied_below = function, states.clone(), copied_below
        self.held = np.arange(len(states))

    def of(self, samples: Array) -> Callable[[Tensor], Tensor]:
        """For `samples` of the first batch, ascending, some of those of the last call."""
        if len(samples) == len(self.held):
            return self.function
        rows = torch.from_numpy(np.searchsorted(self.held, samples)).to(self.states.device)
        if isinstance(self.function, SelectableMap) and len(samples) <= self.copied_below * len(self.held):
            self.function, self.states, self.held = self.function.select(rows), self.states[rows], samples
            return self.function
        whole, states = self.function, self.states

        def evaluate(state: Tensor) -> Tensor:
            states[rows] = state
            return whole(states)[rows]

        return evaluate

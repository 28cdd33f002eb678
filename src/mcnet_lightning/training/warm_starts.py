"""Where the solve of a patch starts at its next visit: the fixed point that its last visit ended in."""

from typing import Any

import torch
from torch import Tensor

LARGEST = 2**27  # bytes: they are part of every checkpoint


class WarmStarts:
    """Fixed points by patch, kept with the checkpoint, so that a resumed training starts its solves where the
    uninterrupted one does. Patches whose fixed points would not fit in LARGEST bytes always start from w.
    """

    def __init__(self, largest: int = LARGEST) -> None:
        self.largest = largest
        self.states = torch.empty(0)
        self.known = torch.empty(0, dtype=torch.bool)

    def start(self, index: Tensor, prior_image: Tensor) -> Tensor:
        """The states (B, C, P, P) that these patches ended in; w where there is none."""
        places = index.cpu()
        inside = places < len(self.known)
        found = torch.zeros_like(inside)
        found[inside] = self.known[places[inside]]
        if not bool(found.any()):
            return prior_image
        start = prior_image.clone()
        start[found.to(start.device)] = self.states[places[found]].to(start)
        return start

    def remember(self, index: Tensor, states: Tensor) -> None:
        """`states` is what the solves of these patches ended in."""
        limit = self.largest // (states[0].numel() * states.element_size())
        kept = index.cpu() < limit
        places, states = index.cpu()[kept], states.detach().cpu()[kept]
        if len(places):
            self._reach(int(places.max()) + 1, states)
            self.states[places] = states
            self.known[places] = True

    def state_dict(self) -> dict[str, Tensor]:
        return {"states": self.states, "known": self.known}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.states, self.known = state["states"].cpu(), state["known"].cpu()

    def _reach(self, count: int, like: Tensor) -> None:
        missing = count - len(self.known)
        if missing > 0:
            more = like.new_zeros(missing, *like.shape[1:])
            self.states = torch.cat([self.states, more]) if len(self.known) else more
            self.known = torch.cat([self.known, torch.zeros(missing, dtype=torch.bool)])

"""Random draws that are a function of what they are for, and of nothing that happened before.

A resumed training makes the draws of the uninterrupted one, and several processes make those of a single one.
"""

import numpy as np
import torch


def generator_for(seed: int, *place: int) -> torch.Generator:
    """A generator of its own for each place in a training, such as (epoch, batch) or (epoch, patch)."""
    (state,) = np.random.SeedSequence([seed, *place]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state) >> 1)

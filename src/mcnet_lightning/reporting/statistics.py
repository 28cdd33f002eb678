"""Paired differences over images, and how sure their mean is."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import bootstrap

from mcnet_lightning.evaluation.records import Record, better

RESAMPLES, LEVEL = 9999, 0.95


class Interval(NamedTuple):
    """A mean over a number of `images` and its 95 % interval; `low` and `high` are None where one image gives none."""

    mean: float
    low: float | None
    high: float | None
    images: int

    def __str__(self) -> str:
        if self.low is None:
            return f"{self.mean:+.3f}"
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def paired_gain(ours: Mapping[str, Record], theirs: Mapping[str, Record], seed: int = 0) -> Interval | None:
    """The mean gain in the headline figure over the images that both have, with error; None if there are none."""
    gains = {image: better(record, theirs[image]) for image, record in ours.items() if image in theirs}
    known = {image: gain for image, gain in gains.items() if gain is not None}
    return (
        bootstrap_mean(list(known.values()), seed, [ours[image].group or image for image in known]) if known else None
    )


def bootstrap_mean(
    values: Sequence[float] | np.ndarray, seed: int = 0, groups: Sequence[str] | None = None
) -> Interval:
    """The mean with its percentile bootstrap interval (Efron 1979), resampling whole images, or whole groups of them,
    such as the slices of one head; seeded.
    """
    sample = np.asarray(values, dtype=float)
    _, places = np.unique(groups if groups is not None else np.arange(len(sample)), return_inverse=True)
    sums, counts = np.bincount(places, sample), np.bincount(places)
    if len(sums) < 2:
        return Interval(float(sample.mean()), None, None, len(sample))

    def mean_of(drawn: Any, axis: int = -1) -> Any:
        return sums[drawn.astype(int)].sum(axis) / counts[drawn.astype(int)].sum(axis)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # equal values: the interval is that value
        found = bootstrap(
            (np.arange(len(sums)),),
            mean_of,
            n_resamples=RESAMPLES,
            confidence_level=LEVEL,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return Interval(float(sample.mean()), float(found.low), float(found.high), len(sample))

"""Paired differences over images, and how sure their mean is."""

import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import bootstrap

from mcnet_lightning.evaluation.records import Record, finite

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
    """The mean gain in PSNR over the images that both have, with error; None if there are none."""
    pairs = [(record.psnr_y, theirs[image].psnr_y) for image, record in ours.items() if image in theirs]
    differences = [gain for our, their in pairs if (gain := finite(our - their)) is not None]
    return bootstrap_mean(differences, seed) if differences else None


def bootstrap_mean(values: Sequence[float], seed: int = 0) -> Interval:
    """The mean with its percentile bootstrap interval (Efron 1979), resampling whole images, seeded."""
    sample = np.asarray(values, dtype=float)
    if len(sample) < 2:
        return Interval(float(sample.mean()), None, None, len(sample))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # equal values: the interval is that value
        found = bootstrap(
            (sample,),
            np.mean,
            n_resamples=RESAMPLES,
            confidence_level=LEVEL,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return Interval(float(sample.mean()), float(found.low), float(found.high), len(sample))

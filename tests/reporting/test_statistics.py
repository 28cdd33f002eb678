"""The paired bootstrap, against every resample there is and against a plain loop."""

import itertools

import numpy as np
import pytest

from mcnet_lightning.reporting.statistics import LEVEL, bootstrap_mean


def test_interval_is_that_of_all_resamples() -> None:
    values = [0.1, 0.35, 0.9, 1.4]
    means = [np.mean(choice) for choice in itertools.product(values, repeat=len(values))]  # 256, equally likely
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf")
    found = bootstrap_mean(values)
    step = 0.15  # neighbouring means of the 256 lie closer than this near the ends
    assert found.mean == pytest.approx(np.mean(values))
    assert found.low == pytest.approx(low, abs=step)
    assert found.high == pytest.approx(high, abs=step)


def test_interval_is_that_of_an_independent_loop() -> None:
    values = np.random.default_rng(3).normal(0.3, 0.2, size=14)
    random = np.random.default_rng(7)
    means = [values[random.integers(0, 14, 14)].mean() for _ in range(20000)]
    found = bootstrap_mean(values)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.004)


def test_seed_decides_and_one_image_has_no_interval() -> None:
    values = [0.1, 0.2, 0.7, 0.3]
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean([0.25]) == (0.25, None, None, 1)
    assert str(bootstrap_mean([0.25])) == "+0.250"


def test_equal_gains_have_an_interval_of_no_width() -> None:
    found = bootstrap_mean([0.5, 0.5, 0.5])
    assert (found.mean, found.low, found.high) == (0.5, 0.5, 0.5)

"""What every test shares: one seed, few threads, and the way to the shared data."""

import gc
import os
from pathlib import Path

import pytest
import torch

if "OMP_NUM_THREADS" not in os.environ:
    torch.set_num_threads(min(2, os.cpu_count() or 1))  # the images are tiny: more threads only wait for each other


def pytest_collection_finish() -> None:
    """Thousands of tests and all that they import stay: the garbage collector need not look through them each time."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with test images and published weights: $MCNET_SHARED, or ../shared next to the checkout."""
    folder = Path(os.environ.get("MCNET_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data in {folder}; set MCNET_SHARED to the folder that holds data/ and weights/")
    return folder

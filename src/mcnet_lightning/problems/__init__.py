"""What is measured of what, and how quality is counted."""

from mcnet_lightning.problems.base import Problem, described_problem, draws, noise
from mcnet_lightning.problems.figures import Figure, figure
from mcnet_lightning.problems.observation import Observation

__all__ = ["Figure", "Observation", "Problem", "described_problem", "draws", "figure", "noise"]

"""What is measured of what, and how quality is counted."""

from mcnet_lightning.problems.base import Problem, draws, noise
from mcnet_lightning.problems.figures import Figure, figure
from mcnet_lightning.problems.observation import Observation

__all__ = ["Figure", "Observation", "Problem", "draws", "figure", "noise"]

"""Without a network, but consistent: the image nearest to the start that agrees with the measurement."""

from mcnet_lightning.methods.base import Given, Made, Method
from mcnet_lightning.methods.start import only_where_bicubic
from mcnet_lightning.problems import Problem


class ProjectedStart(Method):
    name = "start+projection"
    label = "Start + projection"
    settings = ("epsilon",)
    rank = 1
    compared = False

    def run(self, given: Given) -> Made:
        return given.projected(given.start)


class ProjectedBicubic(ProjectedStart):
    """The same of super-resolution under its own name."""

    name = "bicubic+projection"
    label = "Bicubic + projection"

    def check(self, problem: Problem) -> None:
        only_where_bicubic(self.name, problem)

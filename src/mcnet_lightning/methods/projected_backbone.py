"""What consistency alone adds to a network: the image nearest to its output that agrees with the measurement."""

from mcnet_lightning.methods.base import Given, Made, Method


class ProjectedBackbone(Method):
    name = "backbone+projection"
    label = "{0} + projection"
    rank = 5
    compared = False

    def run(self, given: Given) -> Made:
        return given.projected(given.w)

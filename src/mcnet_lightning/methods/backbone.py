"""The frozen network alone."""

from mcnet_lightning.methods.base import Given, Made, Method


class Backbone(Method):
    name = "backbone"
    label = "{0}"
    settings = ("backbone",)
    rank = 4
    consistent = False
    compared = False

    def run(self, given: Given) -> Made:
        return given.w, None

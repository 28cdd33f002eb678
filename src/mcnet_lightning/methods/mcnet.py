"""The equilibrium layer on top of the backbone."""

from mcnet_lightning.methods.base import Given, Made, Method


class MCNetLayer(Method):
    name = "mcnet"
    label = "MCNet+{0}"
    settings = ("backbone", "epsilon", "beta", "layer", "solver")
    rank = 9
    remedy = "beta or solver.max_evaluations"

    def run(self, given: Given) -> Made:
        assert given.layer is not None
        observation = given.observation
        result = given.layer(given.w, observation.measurement, observation.operator, given.radii)
        return result.estimate, result.stats

"""Without a network: the image that the problem starts from."""

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.methods.base import Given, Made, Method
from mcnet_lightning.problems import Problem


class Start(Method):
    """Zero-filled, back-projected, blurred, ...: what a problem calls its start."""

    name = "start"
    label = "Start"
    settings = ()
    rank = 0
    consistent = False
    compared = False

    def run(self, given: Given) -> Made:
        return given.start, None


class Bicubic(Start):
    """The start of super-resolution under its own name."""

    name = "bicubic"
    label = "Bicubic"

    def check(self, problem: Problem) -> None:
        only_where_bicubic(self.name, problem)


def only_where_bicubic(name: str, problem: Problem) -> None:
    if problem.start_name != "bicubic":
        raise ConfigError(
            f"method={name}: problem={problem.name} does not start from bicubic interpolation but from what it calls "
            f"{problem.start_name}; take {name.replace('bicubic', 'start')}"
        )

"""The command that is running, for what a run writes down of it: model cards, and the command to go on with."""

import shlex
from contextvars import ContextVar
from typing import NamedTuple


class Running(NamedTuple):
    """module: of `python -m`. chosen: the `backbone` of `pretrain backbone`. words: flags and settings."""

    module: str
    chosen: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def written(self, leaving_out: tuple[str, ...]) -> str:
        """The command for a shell, without the words that begin as `leaving_out`."""
        words = [word for word in self.words if not word.startswith(leaving_out)]
        return shlex.join(["python", "-m", self.module, *self.chosen, *words])


BY_PYTHON = Running("mcnet_lightning.train")  # what a training that Python code starts is taken for
running: ContextVar[Running] = ContextVar("running", default=BY_PYTHON)  # cli/ sets it around every task

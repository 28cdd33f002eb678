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


# cli/ sets it around every task; a training that Python code starts has the default
running: ContextVar[Running] = ContextVar("running", default=Running("mcnet_lightning.train"))  # noqa: B039

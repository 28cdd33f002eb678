"""The command line as one object: nothing else reads or writes sys.argv.

Hydra and Lightning know no other way: Hydra reads there what it composes, and Lightning repeats what it finds there to
start the other processes of DDP. Both are shown what is meant for them, for as long as they look.
"""

import argparse
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import __main__
from mcnet_lightning.cli.words import hydra_words
from mcnet_lightning.config.running import Running

LEFT_BY_DDP = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "PL_")


@dataclass(frozen=True)
class CommandLine:
    """path: argv[0]. chosen: the word that chooses among commands, such as the `backbone` of `pretrain backbone`."""

    path: str
    words: tuple[str, ...]
    chosen: tuple[str, ...] = ()

    @classmethod
    def typed(cls, config_name: str) -> "CommandLine":
        """In Hydra's words. Raises ConfigError where it cannot be read."""
        return cls(sys.argv[0], tuple(hydra_words(config_name, sys.argv[1:])))

    @property
    def program(self) -> str:
        """What one types to start it."""
        stem = Path(self.path).stem
        return " ".join([stem if stem.startswith("mcnet-") else f"python -m {self.module}", *self.chosen])

    @property
    def module(self) -> str:
        return f"mcnet_lightning.{Path(self.path).stem.removeprefix('mcnet-')}"

    @property
    def running(self) -> Running:
        """What a run may write down of it."""
        return Running(self.module, self.chosen, self.words)

    def choosing(self, position: int) -> "CommandLine":
        """The same, with the word at `position` as the one that chooses."""
        rest = self.words[:position] + self.words[position + 1 :]
        return replace(self, words=rest, chosen=(self.words[position],))

    def flags_first(self, flags: argparse.Namespace) -> "CommandLine":
        """In the one order that Hydra itself takes, and without the word that is none of Hydra's."""
        given = [word for word in self.words if word not in flags.overrides]
        return CommandLine(self.path, (*given, *flags.overrides))

    def of_job(self, flags: argparse.Namespace, overrides: Iterable[str]) -> "CommandLine":
        """What would have been typed for this job of a sweep alone."""
        kept = [word for word in self.words if word not in (*flags.overrides, "-m", "--multirun")]
        return replace(self, words=(*kept, *overrides))

    @contextmanager
    def shown(self, *more: str) -> Iterator[None]:
        """Within it, sys.argv says this, and `more` after it."""
        before = sys.argv
        sys.argv = [self.path, *self.chosen, *self.words, *more]
        try:
            yield
        finally:
            sys.argv = before

    @contextmanager
    def shown_alone(self) -> Iterator[None]:
        """The same for a job of a sweep, of which the other processes must repeat the job and not the sweep. Afterwards
        nothing of DDP is left that the next job could trip over.
        """
        environment, spec = set(os.environ), __main__.__spec__
        __main__.__spec__ = importlib.util.find_spec(self.module)
        try:
            with self.shown("hydra.mode=RUN"):
                yield
        finally:
            __main__.__spec__ = spec
            for name in set(os.environ) - environment:
                if name.startswith(LEFT_BY_DDP):
                    del os.environ[name]

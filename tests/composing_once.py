"""Configurations for tests that compose many: what those of a command have in common is composed once per process."""

from copy import deepcopy
from functools import cache

from omegaconf import DictConfig

from mcnet_lightning.config.checking import Checker
from mcnet_lightning.config.composition import composing, without_hydra

checker = cache(Checker)


def compose(command: str, words: list[str]) -> DictConfig:
    """What `compose_config` gives."""
    with composing(command):
        return deepcopy(without_hydra(checker(command).job(words)))

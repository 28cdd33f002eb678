"""Checks the configuration of a job, word by word and then as a whole, and composes it."""

from omegaconf import DictConfig

from mcnet_lightning.config.composition import composed, composing, group_choices, without_hydra
from mcnet_lightning.config.overrides import check_key, check_option, check_sign, check_type, parse
from mcnet_lightning.config.problems import check_answered
from mcnet_lightning.config.validation import validate


def compose_config(config_name: str, words: list[str] | None = None) -> DictConfig:
    """The configuration that a command would run with, such as `compose_config("train", ["scale=3"])`.

    Raises ConfigError where the words, or the values that they lead to, are not valid.
    """
    with composing(config_name):
        return without_hydra(Checker(config_name).job(words or []))


class Checker:
    """Checks jobs one by one; a composition that several of them need is made once."""

    def __init__(self, config_name: str) -> None:
        self.config_name = config_name
        self.known: dict[tuple[str, ...], DictConfig] = {}

    def composed(self, words: list[str]) -> DictConfig:
        key = tuple(words)
        if key not in self.known:
            self.known[key] = composed(self.config_name, words)
        return self.known[key]

    def job(self, words: list[str]) -> DictConfig:
        """Checks a job's groups, then its keys within these groups, then all values that they lead to."""
        overrides = parse(words)
        hydra_words = [str(o.input_line) for o in overrides if o.is_hydra_override()]
        own = [o for o in overrides if not o.is_hydra_override()]
        default = self.composed(hydra_words)
        groups = [o for o in own if o.key_or_group in group_choices(default)]
        for o in own:
            check_sign(o, default)
        for o in groups:
            check_option(o, default)
        tree = self.composed(hydra_words + [str(o.input_line) for o in groups])
        for o in own:
            if o not in groups:
                check_key(o, tree)
                check_type(o, tree)
        check_answered(own, tree)
        cfg = self.composed(words)
        validate(without_hydra(cfg))
        return cfg

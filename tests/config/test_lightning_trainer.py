"""The keys `trainer.*`: all that Lightning's Trainer takes, read from its source, some in our own words."""

import inspect
from dataclasses import fields

import pytest

from mcnet_lightning.config import lightning_trainer
from mcnet_lightning.config.checking import compose_config
from mcnet_lightning.config.training import Trainer, UsualTrainer
from mcnet_lightning.errors import ConfigError


def test_names_and_defaults_are_those_of_the_signature() -> None:
    from pytorch_lightning import Trainer as Lightning

    theirs = {n: p.default for n, p in inspect.signature(Lightning.__init__).parameters.items()}
    ours = {field.name: field.default for field in fields(Trainer)}
    assert ours.keys() == theirs.keys() - {"self", "logger", "callbacks"}
    usual = {field.name for field in fields(UsualTrainer)}
    assert {n: v for n, v in ours.items() if n not in usual} == {n: theirs[n] for n in ours if n not in usual}
    assert all(len(field.metadata["help"].split()) > 2 for field in fields(Trainer) if field.name not in usual)


@pytest.mark.parametrize(
    "word",
    ["deterministic=warn", "val_check_interval=0.5", "limit_train_batches=3", "fast_dev_run=true", "devices=[0,1]"],
)
def test_what_lightning_takes_is_taken(word: str) -> None:
    compose_config("train", [f"trainer.{word}"])


@pytest.mark.parametrize("word", ["min_steps=few", "limit_val_batches=some", "sync_batchnorm=3.5", "min_stepps=3"])
def test_what_lightning_would_refuse_is_refused_before_it_is_imported(word: str) -> None:
    with pytest.raises(ConfigError, match=r"trainer\."):
        compose_config("train", [f"trainer.{word}"])


def test_without_lightning_the_usual_keys_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lightning_trainer, "place_of", lambda name: None)
    assert not list(lightning_trainer.trainer_arguments(()))

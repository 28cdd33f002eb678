"""The launchers' settings: all that the plugin knows, and jobs that are put back in the queue."""

from dataclasses import fields

from hydra_plugins.hydra_submitit_launcher.config import SlurmQueueConf
from omegaconf import DictConfig

from mcnet_lightning.config.composition import composed, composing


def launcher(name: str, *words: str) -> DictConfig:
    with composing("train"):
        return composed("train", [f"hydra/launcher={name}", *words]).hydra.launcher


def test_slurm_knows_every_key_of_the_plugin() -> None:
    assert set(launcher("submitit_slurm")) == {field.name for field in fields(SlurmQueueConf)}


def test_slurm_puts_a_job_back_when_its_time_is_up() -> None:
    settings = launcher("submitit_slurm", "hydra.launcher.partition=main")
    assert settings.max_num_timeout > 0
    assert settings.partition == "main"


def test_launchers_for_one_machine_are_there() -> None:
    assert "joblib" in launcher("joblib")._target_
    assert "LocalLauncher" in launcher("submitit_local")._target_

"""The launchers' settings: all that the plugin knows, and jobs that are put back in the queue. And their patience."""

from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import submitit
from hydra_plugins.hydra_submitit_launcher.config import SlurmQueueConf
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.mcnet_launchers import PatientSlurmLauncher
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


class Queue:
    """Stands for submitit's executor: takes all jobs, of which the first is lost."""

    def __init__(self, folder: str, cluster: str, **settings: Any) -> None:
        self.settings = {"folder": folder, "cluster": cluster, **settings}
        self.waited: list[int] = []
        queues.append(self)

    def update_parameters(self, **settings: Any) -> None:
        self.settings |= settings

    def map_array(self, function: Any, *lists: Any) -> list[SimpleNamespace]:
        self.submitted = list(zip(*lists, strict=True))
        return [
            SimpleNamespace(wait=lambda n=n: self.waited.append(n), results=lambda n=n: self.result(n))
            for n in range(len(self.submitted))
        ]

    def result(self, number: int) -> list[int]:
        if number == 0:
            raise submitit.core.utils.UncompletedJobError("lost")
        return [number]


queues: list[Queue] = []


def test_a_lost_job_is_an_error_only_when_all_have_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitit, "AutoExecutor", Queue)
    settings: Any = OmegaConf.to_container(launcher("submitit_slurm", "hydra.sweep.dir=here", "hydra.job.name=us"))
    del settings["_target_"]
    patient = PatientSlurmLauncher(**{**settings, "submitit_folder": "logs", "name": "us"})
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path / "sweep")}}})
    nothing: Any = None  # it does not look at either
    patient.setup(hydra_context=nothing, task_function=nothing, config=config)
    with pytest.raises(submitit.core.utils.UncompletedJobError):
        patient.launch([["scale=2"], ["scale=3"], ["scale=4"]], 5)
    assert queues[0].waited == [0, 1, 2]
    assert [(words, number) for words, number, _ in queues[0].submitted] == [
        (["scale=2"], 5),
        (["scale=3"], 6),
        (["scale=4"], 7),
    ]
    said = queues[0].settings
    assert (said["cluster"], said["name"], said["slurm_max_num_timeout"]) == (
        "slurm",
        "us",
        settings["max_num_timeout"],
    )
    assert {"timeout_min", "nodes", "slurm_partition", "slurm_array_parallelism"} <= said.keys()


def test_settings_are_those_that_submitit_knows(tmp_path: Path) -> None:
    settings = {name: launcher("submitit_slurm")[name] for name in ("timeout_min", "nodes", "signal_delay_s", "setup")}
    executor = submitit.AutoExecutor(str(tmp_path), cluster="local")
    executor.update_parameters(**PatientSlurmLauncher("logs", **settings).settings)

"""Launchers for submitit whose driver stays until every job has ended, even if one of them was lost.

hydra-submitit-launcher gives the settings; its own driver leaves at the first lost job: the table would show the others
as running, and the same command again would submit those that still wait in the queue a second time.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

# what submitit calls alike on every cluster; other settings belong to one and carry its name
SHARED = (
    "cpus_per_task",
    "gpus_per_node",
    "mem_gb",
    "name",
    "nodes",
    "stderr_to_stdout",
    "tasks_per_node",
    "timeout_min",
)


class PatientLauncher(Launcher):
    """Submits every job of a sweep as one array. `settings`: the keys of the group hydra/launcher."""

    cluster = ""

    def __init__(self, submitit_folder: str, max_num_timeout: int | None = None, **settings: Any) -> None:
        self.folder, self.max_num_timeout = submitit_folder, max_num_timeout
        plain = {n: OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for n, v in settings.items()}
        self.settings = {n if n in SHARED else f"{self.cluster}_{n}": value for n, value in plain.items()}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Waits for all jobs; only then is the first loss an error."""
        from mcnet_lightning.files.extras import require

        require("submitit")
        import submitit

        requeued = {} if self.max_num_timeout is None else {f"{self.cluster}_max_num_timeout": self.max_num_timeout}
        executor = submitit.AutoExecutor(self.folder, cluster=self.cluster, **requeued)
        executor.update_parameters(**self.settings)
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        numbers = range(initial_job_idx, initial_job_idx + len(job_overrides))
        jobs = executor.map_array(self, map(list, job_overrides), numbers, [Singleton.get_state()] * len(job_overrides))
        for job in jobs:
            job.wait()
        return [job.results()[0] for job in jobs]

    def __call__(self, overrides: list[str], number: int, singletons: dict[Any, Any]) -> JobReturn:
        """One job, in its own process."""
        import submitit

        from mcnet_lightning.config.composition import expect_launcher_schemas

        expect_launcher_schemas()
        Singleton.set_state(singletons)
        setup_globals()
        config = self.hydra_context.config_loader.load_sweep_config(self.config, overrides)
        with open_dict(config.hydra.job):
            config.hydra.job.id, config.hydra.job.num = submitit.JobEnvironment().job_id, number
        return run_job(
            self.task_function, config, "hydra.sweep.dir", "hydra.sweep.subdir", hydra_context=self.hydra_context
        )

    def checkpoint(self, *arguments: Any) -> Any:
        """What submitit puts back in the queue when a job's time is up: the same job."""
        import submitit

        return submitit.helpers.DelayedSubmission(self, *arguments)


class PatientLocalLauncher(PatientLauncher):
    cluster = "local"


class PatientSlurmLauncher(PatientLauncher):
    cluster = "slurm"

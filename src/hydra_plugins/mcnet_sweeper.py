"""Hydra's basic sweeper, except that a sweep keeps its folder and is finished by running it again."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write


class ResumingSweeper(BasicSweeper):
    """Names the sweep's folder and its jobs', leaves out what is complete, and ends with one table of all jobs."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from mcnet_lightning.sweeps import sweep_name

        self.jobs: list[Any] = []
        if not any(word.startswith("hydra.sweep.dir=") for word in config.hydra.overrides.hydra):
            task_words = OmegaConf.to_container(config.hydra.overrides.task)
            assert isinstance(task_words, list)
            words = [*self._parse_config(), *(str(word) for word in task_words)]
            parsed = OverridesParser.create(config_loader=hydra_context.config_loader).parse_overrides(words)
            swept = list(dict.fromkeys(o.get_key_element() for o in parsed if o.is_sweep_override()))
            own = [word for word in words if not word.startswith("logger")]
            with read_write(config), open_dict(config):
                config.hydra.sweep.dir = str(Path(config.hydra.sweep.dir) / sweep_name(swept, own))
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def split_arguments(  # type: ignore[override]
        self, overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        """The jobs that are not complete, in batches; Hydra's own method does not know which these are."""
        from mcnet_lightning.sweeps import Job, job_name, prepare
        from mcnet_lightning.sweeps.plan import needs_work

        assert self.config is not None
        assert self.hydra_context is not None
        sweep_dir = Path(self.config.hydra.sweep.dir)
        swept = {o.get_key_element() for o in overrides if o.is_sweep_override()}
        (every_job,) = BasicSweeper.split_arguments(overrides, None)
        states, left = [], []
        for words in every_job:
            settings = dict(word.split("=", 1) for word in words if word.split("=", 1)[0] in swept)
            name = job_name(settings)
            job = Job(sweep_dir / name, tuple(words), settings)
            self.jobs.append(job)
            places = [f"hydra.sweep.dir='{sweep_dir}'", f"hydra.sweep.subdir='{name}'"]
            states.append(prepare(job, self._task_config(words)) if job.folder.is_dir() else "waiting")
            if needs_work(states[-1]):
                left.append([*words, *places])
        counts = ", ".join(f"{count} {state}" for state, count in Counter(states).items())
        print(f"{len(every_job)} job{'s' * (len(every_job) > 1)} in {sweep_dir}: {counts}", flush=True)
        return list(self.split_overrides_to_chunks(left, max_batch_size)) if left else []

    def sweep(self, arguments: list[str]) -> Any:
        from mcnet_lightning.sweeps import report

        try:
            return super().sweep(arguments)
        finally:
            if self.config is not None and self.jobs:
                report(self.jobs, Path(self.config.hydra.sweep.dir))

    def _task_config(self, words: Sequence[str]) -> DictConfig:
        """The job's configuration without Hydra's own part."""
        assert self.hydra_context is not None
        assert self.config is not None
        config = self.hydra_context.config_loader.load_sweep_config(self.config, list(words))
        with read_write(config), open_dict(config):
            del config["hydra"]
        return config

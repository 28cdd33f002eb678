"""Runs one job for each combination of values. A sweep keeps its folder and is finished by running it again."""

import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write


class ResumingSweeper(Sweeper):
    """Names the sweep's folder and its jobs', leaves out what is complete, and ends with one table of all jobs.

    hydra.sweep.dir and hydra.sweep.subdir, where they are typed, name the folders instead.
    max_batch_size: jobs that the launcher gets at a time; None: all. params: swept without being typed.
    """

    hydra_context: HydraContext
    config: DictConfig
    launcher: Launcher

    def __init__(self, max_batch_size: int | None = None, params: dict[str, str] | None = None) -> None:
        self.max_batch_size, self.params = max_batch_size, params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from mcnet_lightning.sweeps import sweep_name

        self.hydra_context, self.config = hydra_context, config
        if not self._typed("hydra.sweep.dir"):
            task_words: Any = OmegaConf.to_container(config.hydra.overrides.task)
            words = self._with_params(map(str, task_words))
            swept = list(dict.fromkeys(o.get_key_element() for o in self._parsed(words) if o.is_sweep_override()))
            own = [word for word in words if not word.startswith("logger")]
            with read_write(config), open_dict(config):
                config.hydra.sweep.dir = str(Path(config.hydra.sweep.dir) / sweep_name(swept, own))
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        from mcnet_lightning.files import write_file
        from mcnet_lightning.sweeps import Job
        from mcnet_lightning.sweeps.plan import needs_work
        from mcnet_lightning.sweeps.table import report

        overrides = self._parsed(self._with_params(arguments))
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / "multirun.yaml", OmegaConf.to_yaml(self.config))
        jobs = self._jobs(overrides, folder)
        states = [self._state(job) for job in jobs]
        counts = ", ".join(f"{count} {state}" for state, count in Counter(states).items())
        print(f"{len(jobs)} job{'s' * (len(jobs) > 1)} in {folder}: {counts}", flush=True)
        left: list[Job] = [job for job, state in zip(jobs, states, strict=True) if needs_work(state)]
        returned = []
        try:
            for start in range(0, len(left), size := self.max_batch_size or max(1, len(left))):
                batch = [_words(job, folder) for job in left[start : start + size]]
                self.validate_batch_is_legal(batch)
                results = self.launcher.launch(batch, initial_job_idx=start)
                returned.append([result.return_value for result in results])  # asking raises what the job raised
        finally:
            report(jobs, folder)
        return returned

    def _with_params(self, words: Any) -> list[str]:
        return [*(f"{key}={value}" for key, value in self.params.items()), *words]

    def _parsed(self, words: list[str]) -> list[Override]:
        return OverridesParser.create(config_loader=self.hydra_context.config_loader).parse_overrides(words)

    def _jobs(self, overrides: list[Override], folder: Path) -> list[Any]:
        """Every combination of values; of a key that is given twice the last words count."""
        from mcnet_lightning.errors import ConfigError
        from mcnet_lightning.sweeps import Job, job_name

        named = self._typed("hydra.sweep.subdir")
        axes = {o.get_key_element(): _values(o) for o in overrides}
        swept = [o.get_key_element() for o in overrides if o.is_sweep_override()]
        jobs = []
        for values in itertools.product(*axes.values()):
            job = dict(zip(axes, values, strict=True))
            settings = {key: value for key, value in job.items() if key in swept}
            words = tuple(f"{key}={value}" for key, value in job.items())
            name = self._composed(words).hydra.sweep.subdir if named else job_name(settings)
            jobs.append(Job(folder / name, words, settings))
        twice = next((name for name, number in Counter(job.folder for job in jobs).items() if number > 1), None)
        if twice:
            raise ConfigError(f"hydra.sweep.subdir gives several jobs the folder {twice}; say what tells them apart")
        return jobs

    def _typed(self, key: str) -> bool:
        return any(word.startswith(f"{key}=") for word in self.config.hydra.overrides.hydra)

    def _composed(self, words: Sequence[str]) -> DictConfig:
        return self.hydra_context.config_loader.load_sweep_config(self.config, list(words))

    def _state(self, job: Any) -> str:
        """What the job is now, and its folder readied."""
        from mcnet_lightning.sweeps import prepare

        if not job.folder.is_dir():
            return "waiting"
        config = self._composed(job.words)
        with read_write(config), open_dict(config):
            del config["hydra"]
        return prepare(job, config)


def _values(override: Override) -> list[str]:
    from mcnet_lightning.errors import ConfigError

    if not override.is_sweep_override():
        return [override.get_value_element_as_str()]
    if override.value_type == ValueType.INTERVAL_SWEEP:
        raise ConfigError(f"{override.input_line}: an interval has no values of its own; write them out, or a range")
    return list(map(str, override.sweep_string_iterator()))


def _words(job: Any, folder: Path) -> Sequence[str]:
    return [*job.words, f"hydra.sweep.dir='{folder}'", f"hydra.sweep.subdir='{job.folder.relative_to(folder)}'"]

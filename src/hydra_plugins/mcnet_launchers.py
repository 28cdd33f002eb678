"""submitit's launchers, except that the driver stays until every job has ended, even if one of them was lost.

The plugin's own driver leaves at the first lost job: the table would show the others as running, and the same command
again would submit those that still wait in the queue a second time.
"""

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from hydra.core.utils import JobReturn
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import BaseSubmititLauncher


class PatientLauncher(BaseSubmititLauncher):
    """Waits for all jobs; only then is the first loss an error."""

    def __call__(self, *arguments: Any) -> JobReturn:
        from mcnet_lightning.config.composition import expect_launcher_schemas

        expect_launcher_schemas()  # in the job's own process
        return super().__call__(*arguments)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        import submitit

        submit, jobs = submitit.AutoExecutor.map_array, list[Any]()

        def submit_and_note(*arguments: Any) -> list[Any]:
            jobs.extend(submit(*arguments))
            return jobs

        with patch.object(submitit.AutoExecutor, "map_array", submit_and_note):
            try:
                return super().launch(job_overrides, initial_job_idx)
            except (submitit.core.utils.UncompletedJobError, submitit.core.utils.FailedJobError):
                for job in jobs:
                    job.wait()
                raise


class PatientLocalLauncher(PatientLauncher):
    _EXECUTOR = "local"


class PatientSlurmLauncher(PatientLauncher):
    _EXECUTOR = "slurm"

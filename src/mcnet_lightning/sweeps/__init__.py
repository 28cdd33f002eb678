"""Sweeps: what each job is made of, which jobs are done, and one table of all of them (`table`). Imports no torch."""

from mcnet_lightning.sweeps.job import swept_job
from mcnet_lightning.sweeps.plan import Job, job_name, outcome, prepare, sweep_name

__all__ = ["Job", "job_name", "outcome", "prepare", "sweep_name", "swept_job"]

"""Sweeps: what each job is made of, which jobs are done, and one table of all of them. Imports no torch."""

from mcnet_lightning.sweeps.job import swept_job
from mcnet_lightning.sweeps.plan import Job, job_name, outcome, prepare, sweep_name
from mcnet_lightning.sweeps.table import report

__all__ = ["Job", "job_name", "outcome", "prepare", "report", "sweep_name", "swept_job"]

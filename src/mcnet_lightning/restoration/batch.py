"""Folders of pictures: restored by backbone and layer, or projected onto consistency as they are."""

import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mcnet_lightning.equilibrium import Outcome, SolveStats
from mcnet_lightning.equilibrium.epsilon import Epsilon
from mcnet_lightning.errors import ConfigError, MCNetError, printable
from mcnet_lightning.files import file_digest
from mcnet_lightning.files.naming import picture_names
from mcnet_lightning.imaging import find_picture
from mcnet_lightning.operators import MeasurementOperator
from mcnet_lightning.restoration.agreement import agreement
from mcnet_lightning.restoration.certificate import save_certified
from mcnet_lightning.restoration.diagnosis import operator_warning, refuse_pattern
from mcnet_lightning.restoration.failures import describe_reached, failure_of
from mcnet_lightning.restoration.pictures import MAX_MEGAPIXELS, Picture, read_picture
from mcnet_lightning.restoration.progress import Lines
from mcnet_lightning.restoration.restorer import Restored, Restorer, make_consistent
from mcnet_lightning.restoration.runs import Job, Report, pictures_of, prepared_output, run_jobs, targets_of
from mcnet_lightning.restoration.target import network_noise, radius_of, stated_target
from mcnet_lightning.restoration.wording import compression_note, describe_noise
from mcnet_lightning.restoration.writing import SUFFIX, format_for


@dataclass(frozen=True)
class Saving:
    """Where results go, and as what."""

    output: Path
    format: str = "png8"  # or `same` as each source
    suffix: str = ""
    rounding: str = "consistent"
    overwrite: bool = False
    max_megapixels: float = MAX_MEGAPIXELS
    force: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        return {"format": self.format, "rounding": self.rounding}

    def jobs(self, sources: list[Path]) -> list[Job]:
        """What becomes of each source."""
        suffixes = [f"{self.suffix}{SUFFIX[format_for(source, self.format)]}" for source in sources]
        return [Job(*pair) for pair in zip(sources, targets_of(sources, self.output, suffixes), strict=True)]


def restore_pictures(source: Path, restorer: Restorer, saving: Saving, record: Mapping[str, Any]) -> Report:
    """Restores a picture or every picture of a folder. `record` says which backbone and layer; it is certified, too."""
    sources = pictures_of(source)
    jobs = saving.jobs(sources)
    settings = {"mode": "restore", "operator": restorer.operator.name, **stated(restorer.epsilon), **record}
    settings |= _stated_rounding(restorer.dequantise)
    if restorer.layer is not None:
        settings["solver"] = repr(restorer.layer.solver)  # every setting of it

    def make(job: Job, key: str, lines: Lines) -> dict[str, Any]:
        restorer.on_tile, restorer.on_evaluation = lines.tile, lines.evaluation
        measurement = read_picture(job.source, saving.max_megapixels / restorer.backbone.spec.scale**2)
        if (epsilon := restorer.epsilon) is None or epsilon.unit == "noise":
            denoised = restorer.denoises(network_noise(epsilon, measurement))
            lines.note(job.source, compression_note(measurement, denoised, restorer.backbone.spec.scale))
        restored, about = restore_measurement(measurement, restorer, record, saving.force)
        print_warning(job, about["warning"])
        print_warning(job, unsettled(restored.stats))
        return _save(job, key, restored.picture, restored.target, restorer.operator, restored.epsilon, saving, about)

    return run_all(jobs, settings, make, saving, "restoring", restorer.backbone.spec.scale)


def restore_measurement(
    measurement: Picture, restorer: Restorer, record: Mapping[str, Any], force: bool = False
) -> tuple[Restored, dict[str, Any]]:
    """A restored picture, and what its certificate says of its making: `record`, the solve, a warning or None.

    Raises DataError where the operator does not fit and makes a pattern, unless `force`, and ConvergenceError where the
    solve left no numbers; any other that failed is told by `unsettled`.
    """
    restored = restorer(measurement)
    yardstick = restorer.start is None  # a start image is none, and neither is what was made of one
    if not force and yardstick:
        refuse_pattern(restored.prior, restored.picture, measurement, restorer.operator)
    warning = None
    if yardstick and restorer.backbone.spec.name != "bicubic":  # nor is interpolation
        warning = operator_warning(restored.prior, measurement, restorer.operator, restored.epsilon)
    if restorer.layer is not None and restored.stats is None:
        record = {**record, "method": "backbone+projection", "layer": None}
    return restored, {
        **record,
        **describe_noise(restorer.epsilon, measurement, restored.denoised),
        **_stated_rounding(restorer.dequantise),
        "solver": describe_stats(restored.stats),
        "warning": warning,
    }


def fix_pictures(
    source: Path,
    lr: Path,
    operator: MeasurementOperator,
    epsilon: float | Epsilon | None,
    saving: Saving,
    dequantise: str = "none",
) -> Report:
    """The nearest consistent picture to each of `source`, with the LR of the same name in `lr` (or `lr` itself)."""
    epsilon = None if epsilon is None else Epsilon.of(epsilon)
    sources, measured = pictures_of(source), pictures_of(lr)
    scale = getattr(operator, "scale", 1)
    jobs, unpaired = [], []
    names = picture_names(sources)
    for job, name in zip(saving.jobs(sources), names, strict=True):
        try:
            alone = len(sources) == len(measured) == 1
            jobs.append(replace(job, measurement=measured[0] if alone else find_picture(measured, name, scale)))
        except MCNetError as error:
            unpaired.append((job.source, str(error)))
            print(printable(f"not done: {job.source.name}: {error}"), file=sys.stderr)

    def make(job: Job, key: str, lines: Lines) -> dict[str, Any]:
        assert job.measurement is not None
        picture = read_picture(job.source, saving.max_megapixels)
        measurement = read_picture(job.measurement, saving.max_megapixels)
        target, radius = stated_target(measurement, dequantise), radius_of(epsilon, measurement, operator)
        consistent = make_consistent(picture, target, operator, radius)
        if not saving.force:
            refuse_pattern(picture, consistent, measurement, operator)
        warning = operator_warning(picture, measurement, operator, radius)
        print_warning(job, warning)
        about = {"method": "projection", "picture": describe_file(job.source), "warning": warning}
        about |= _stated_rounding(dequantise) | describe_noise(epsilon, measurement)
        return _save(job, key, consistent, target, operator, radius, saving, about)

    settings = {"mode": "fix", "operator": operator.name, **stated(epsilon), **_stated_rounding(dequantise)}
    report = run_all(jobs, settings, make, saving, "projecting")
    report.failed += unpaired
    return report


def describe_measurement(path: Path, measurement: Picture) -> dict[str, Any]:
    """Which file the result has to agree with, for its certificate."""
    return {"measurement": describe_file(path) | {"bit_depth": measurement.depth}}


def unsettled(stats: SolveStats | None) -> str | None:
    """How the solve of one picture failed, with its figures and the remedy; None if it did not."""
    if stats is None or not bool(stats.failed[0]):
        return None
    return f"the layer has not settled: {stats.sentence(0).removeprefix('sample 0 ')}"


def describe_stats(stats: SolveStats | None) -> dict[str, Any] | None:
    """The solve of one picture, for its certificate."""
    if stats is None:
        return None
    outcome = Outcome(int(stats.outcome[0]))
    residual = float(stats.residual[0])
    found = {
        "outcome": outcome.name.lower(),
        "evaluations": int(stats.evaluations[0]),
        "residual": residual if math.isfinite(residual) else None,
    }
    if outcome == Outcome.INCONSISTENT:
        found["attainable"] = float(stats.attainable[0])
    return found


def run_all(
    jobs: list[Job],
    settings: dict[str, Any],
    make: Callable[[Job, str, Lines], dict[str, Any]],
    saving: Saving,
    title: str,
    factor: int = 1,
) -> Report:
    inputs = {os.path.realpath(path) for job in jobs for path in job.files}  # unlike resolve, takes links in a circle
    for path in (path for job in jobs for path in (job.target, *job.beside)):
        if os.path.realpath(path) in inputs:
            raise ConfigError(f"{path} would replace one of the pictures it is made from; choose another output")
    with prepared_output(saving.output):
        return run_jobs(jobs, {**settings, **saving.settings}, make, saving.overwrite, title, factor)


def print_warning(job: Job, warning: str | None) -> None:
    if warning:
        print(printable(f"warning: {job.name}: {warning}"), file=sys.stderr)


def _save(
    job: Job,
    key: str,
    picture: Picture,
    measurement: Picture,
    operator: MeasurementOperator,
    epsilon: float,
    saving: Saving,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    reached = describe_reached(agreement(picture, measurement, operator), epsilon)
    certificate = save_certified(
        job.target,
        picture,
        measurement,
        operator,
        format=format_for(job.source, saving.format),
        consistent_rounding=saving.rounding == "consistent",
        epsilon=epsilon,
        replace_others=saving.overwrite,
        record={
            **describe_measurement(job.measurement or job.source, measurement),
            **about,
            "reached": reached,
            "request": key,
        },
    )
    if sentence := failure_of(certificate):
        print(printable(f"failed: {job.source.name}: {sentence}"), file=sys.stderr)
    return certificate


def stated(epsilon: Epsilon | None) -> dict[str, Any]:
    """What was asked of epsilon. The noise is named where there is some, so that earlier results stay what they are."""
    if epsilon is None:
        return {"epsilon": None}
    return {
        "epsilon": epsilon.stated,
        **({"noise": epsilon.value} if epsilon.unit == "noise" and epsilon.value else {}),
    }


def _stated_rounding(dequantise: str) -> dict[str, Any]:
    """Named only where it is not the measurement as it is, so that earlier results stay what was asked for."""
    return {} if dequantise == "none" else {"dequantise": dequantise}


def describe_file(path: Path) -> dict[str, Any]:
    return {"file": printable(path.name), "sha256": file_digest(path)}

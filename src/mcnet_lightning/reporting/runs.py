"""Run folders: what was measured, by which settings."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mcnet_lightning.config.commands import AUTO, NOISE
from mcnet_lightning.errors import DataError
from mcnet_lightning.evaluation.records import FIRST_PROBLEM, MEAN, SETTLED, Record, picture_name, read_metrics
from mcnet_lightning.files.settings import fault_of, yaml_sentence

LEFT_TO_RUNS = ("beta", "backbone.shares")
METRICS, CONFIG, TRACES, PICTURES = "metrics.csv", Path(".hydra/config.yaml"), "traces.csv", "pictures"


@dataclass(frozen=True)
class Run:
    """One complete run. `settings` are its config's leaves under dotted names, such as "solver.tolerance"."""

    folder: Path
    name: str
    settings: dict[str, Any]
    records: tuple[Record, ...]

    @property
    def trained(self) -> bool:
        """Whether `train` made it: then the layer is its own, not the one in layer.weights."""
        return any(key.startswith("optimiser.") for key in self.settings)

    @property
    def perturbed(self) -> bool:
        """Whether LR was not what the methods assumed."""
        return any(self.settings.get(f"perturbation.{key}") for key in ("noise", "jpeg", "operator"))

    @property
    def problem(self) -> str:
        return self.records[0].problem

    @property
    def epsilon(self) -> dict[str, float | str]:
        """What was asked for, as the one key that says it; where none does, 0, and of problems with noise `noise`."""
        for key in ("epsilon_rms", "epsilon_levels"):  # first: earlier versions have epsilon=0 beside them
            if (value := self.settings.get(key)) is not None:
                return {key: value}
        said = self.settings.get("epsilon")
        return {"epsilon": (0.0 if self.problem == FIRST_PROBLEM else NOISE) if said is None else said}

    @property
    def epsilon_label(self) -> str:
        """The l2 radius as a number, or what was asked for with its unit."""
        ((key, value),) = self.epsilon.items()
        unit = key.removeprefix("epsilon").replace("_", " ")
        return value if isinstance(value, str) else f"{value:g}{unit}"

    @property
    def l2_epsilon(self) -> float | None:
        """The epsilon of every image where it is an l2 radius; None in any other unit."""
        try:
            return float(self.epsilon_label)
        except ValueError:
            return None

    def radius(self, record: Record) -> float:
        """The l2 radius that an image had to keep: its own, or, in runs of earlier versions, that of all."""
        return (self.l2_epsilon or 0.0) if record.epsilon is None else record.epsilon

    @property
    def finished(self) -> float:
        """When metrics.csv was written."""
        return (self.folder / METRICS).stat().st_mtime

    def means(self) -> Iterator[Record]:
        return (record for record in self.records if record.image == MEAN)

    def images(self, dataset: str, method: str) -> dict[str, Record]:
        """The rows of one method on one dataset, by image."""
        return {r.image: r for r in self.records if (r.dataset, r.method) == (dataset, method) and r.image != MEAN}

    @cached_property
    def traces(self) -> dict[tuple[str, str, str], list[float]]:
        """(dataset, image, method) -> residual after each evaluation; empty without traces.csv."""
        path, traces = self.folder / TRACES, dict[tuple[str, str, str], list[float]]()
        if path.is_file():
            try:
                with path.open(newline="", encoding="utf-8") as file:
                    for row in csv.DictReader(file):
                        key = (row["dataset"], row["image"], row["method"])
                        traces.setdefault(key, []).append(float(row["residual"]))
            except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
                raise DataError(f"{path} is damaged ({error}); remove it or make the run again") from None
        return traces

    def picture(self, dataset: str, image: str, kind: str) -> Path | None:
        """The PNG of a method, of `hr` or of `lr`; None if the run wrote none."""
        path = self.folder / PICTURES / picture_name(dataset, image, kind)
        return path if path.is_file() else None


def read_runs(folders: Iterable[str | Path]) -> list[Run]:
    """Every complete run in or below `folders`, in the order of their paths.

    Raises DataError if a folder does not exist, holds no complete run, or holds one without its settings.
    """
    found = dict[Path, None]()
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise DataError(f"runs={folder}: there is no such folder; give folders that hold finished runs")
        here = sorted(path.parent for path in folder.rglob(METRICS))
        if not here:
            raise DataError(f"runs={folder} holds no finished run (no metrics.csv in it or below); give another folder")
        found.update(dict.fromkeys(path.resolve() for path in here))
    names = _short_names(list(found))
    return [_read_run(folder, name) for folder, name in zip(found, names, strict=True)]


def _read_run(folder: Path, name: str) -> Run:
    if not (folder / CONFIG).is_file():
        raise DataError(f"{folder} has no {CONFIG}, which says how its metrics.csv was made; take it out of runs=")
    settings = _settings(folder / CONFIG)
    settled = _settings(folder / SETTLED) if (folder / SETTLED).is_file() else {}
    for key, value in settings.items():
        if value == AUTO and key in LEFT_TO_RUNS:  # runs of earlier versions do not say what they took
            settings[key] = settled.get(key)
    return Run(folder, name, settings, tuple(read_metrics(folder / METRICS)))


def _settings(path: Path) -> dict[str, Any]:
    try:
        if (fault := fault_of(path)) is not None:
            raise ValueError(fault)
        config = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except Exception as error:  # YAML fails in many ways
        raise DataError(f"{path} cannot be read ({yaml_sentence(error)}); take the run out of runs=") from None
    if not isinstance(config, dict):
        raise DataError(f"{path} cannot be read as settings; take the run out of runs=")
    return dict(_leaves(config))


def _leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", tuple(value) if isinstance(value, list) else value


def _short_names(folders: list[Path]) -> list[str]:
    """Paths without what they have in common, so that names are short and still tell runs apart."""
    parts = [folder.parts for folder in folders]
    shared = 0
    while all(len(p) > shared + 1 and p[shared] == parts[0][shared] for p in parts):
        shared += 1
    return ["/".join(p[shared:]) for p in parts]

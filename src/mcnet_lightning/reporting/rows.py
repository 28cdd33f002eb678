"""Rows and columns: which runs make one row of a table, what it is called, and what must not be mixed."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcnet_lightning.config.commands import EPSILON
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.evaluation.records import Record
from mcnet_lightning.reporting.methods import class_at, facts
from mcnet_lightning.reporting.runs import Run

if TYPE_CHECKING:
    from mcnet_lightning.methods import Method

OF_TRAINING = ("denoiser", "optimiser", "trainer", "data", "seed")
NEVER = ("data.root", "data.test", "data.hr", "data.lr", "data.cache_dir", "data.num_workers", "trainer.devices")
NETWORKS = ("SRCNN", "RDN", "RCAN")  # that the published tables have
NAMES = {"bicubic": "bicubic", "precomputed": "pictures"}
LAST = 10  # the rank of rows of which nothing is known
SCALE = re.compile(r"x[2-9](?![0-9])")

Column = tuple[str, int | str]  # dataset, and scale or, of problems without one, problem and protocol
Identity = tuple[tuple[str, Any], ...]


@dataclass
class Row:
    """One method with one set of settings, over datasets and scales."""

    method: str
    label: str
    published: str | None  # its name in the published tables
    identity: Identity
    kind: "type[Method] | None" = None  # its class, which says what else there is to know
    cells: dict[Column, Run] = field(default_factory=dict)

    @property
    def consistent(self) -> bool:
        return self.kind is None or self.kind.consistent

    def mean(self, column: Column) -> Record | None:
        run = self.cells.get(column)
        return (
            None if run is None else next(r for r in run.means() if (r.dataset, r.method) == (column[0], self.method))
        )

    def images(self, column: Column) -> dict[str, Record]:
        run = self.cells.get(column)
        return {} if run is None else run.images(column[0], self.method)


def column_of(record: Record) -> Column:
    return record.dataset, f"{record.problem} {record.protocol}" if record.scale is None else record.scale


def scale_label(column: Column) -> str:
    """`x2`, or problem and protocol."""
    return column[1] if isinstance(column[1], str) else f"x{column[1]}"


def identity(run: Run, method: str, without: Sequence[str] = ()) -> Identity:
    """The settings that tell this row from others; paths of weights count without the scale in them."""
    kind = facts(run, method)
    groups = tuple(name.split(".")[0] for name in run.settings) if kind is None else kind.settings
    groups = (*groups, *EPSILON) if "epsilon" in groups else groups
    if run.trained and method == "mcnet":
        groups = (*groups, *OF_TRAINING)
    settings = {**{key: value for key, value in run.settings.items() if key not in EPSILON}, **run.epsilon}
    chosen = {
        key: SCALE.sub("x", value) if isinstance(value, str) else value
        for key, value in settings.items()
        if key.split(".")[0] in groups and key not in (*NEVER, *without)
    }
    own = f"method.{method}."  # arguments of its own; those of this package stand in groups of theirs
    chosen |= {key: value for key, value in settings.items() if key.startswith(own) and "${" not in str(value)}
    chosen.pop(f"{own}_target_", None)
    return tuple(sorted(chosen.items()))


def backbone_label(settings: dict[str, Any]) -> str:
    """Whose network: "SRCNN (ours)", "RCAN (compact, ours)", "RDN (official)", "spandrel (dctlsa)"."""
    name = str(settings.get("backbone.name", "backbone"))
    if name == "several":
        return " + ".join(map(_of_several, settings.get("backbone.networks", ())))
    weights = str(settings.get("backbone.root" if name == "precomputed" else "backbone.weights", ""))
    kind = class_at(str(settings.get("backbone._target_", "")))
    said = settings.get("backbone.label") or getattr(kind, "label", name)
    shown = next((n for n in NETWORKS if n.lower() == name), NAMES.get(name, str(said)))
    if name == "precomputed":
        return f"{_network(settings) or Path(weights).name} (pictures)"
    if weights == "bundled":
        return f"{shown} ({'compact, ' if name in ('rcan', 'rdn') else ''}ours)"
    return f"{shown} ({_stem(weights)})" if weights not in ("", "none") else shown


def _of_several(said: str) -> str:
    name, _, weights = said.partition(":")
    usual = "bundled" if name.upper() in NETWORKS else "none"
    return backbone_label({"backbone.name": name, "backbone.weights": weights or usual, "backbone.root": weights})


def row_label(run: Run, method: str) -> str:
    """What the row is called if nothing else has to be told apart."""
    label = _label(run, method).format(backbone_label(run.settings))
    if method == "pnp":
        denoiser = str(run.settings.get("pnp.weights", "bundled"))
        return f"{label} (denoiser {'ours' if denoiser == 'bundled' else _stem(denoiser)})"
    layer = str(run.settings.get("layer.weights", "bundled"))
    if method != "mcnet" or (layer == "bundled" and not run.trained):
        return label
    return f"{label}, {'trained layer' if run.trained else f'layer {_stem(layer)}'}"


def build_rows(runs: Iterable[Run]) -> list[Row]:
    """The rows of every table, in the order of the runs; of two runs with the same settings the later one counts.

    Raises ConfigError if a column would mix protocols or operators.
    """
    rows: dict[tuple[str, Identity], Row] = {}
    kinds: dict[Column, tuple[str, str, Run]] = {}
    for run in runs:
        for record in run.means():
            column = column_of(record)
            _refuse_mixing(kinds, column, record, run)
            key = (record.method, identity(run, record.method))
            row = rows.setdefault(
                key, Row(record.method, *_named(run, record.method), key[1], facts(run, record.method))
            )
            if column not in row.cells or run.finished >= row.cells[column].finished:
                row.cells[column] = run
    _tell_apart(list(rows.values()))
    return sorted(rows.values(), key=lambda row: LAST if row.kind is None else row.kind.rank)


def _refuse_mixing(kinds: dict[Column, tuple[str, str, Run]], column: Column, record: Record, run: Run) -> None:
    protocol, operator, first = kinds.setdefault(column, (record.protocol, record.operator, run))
    if (protocol, operator) != (record.protocol, record.operator):
        where = f"{column[0]} {scale_label(column)}"
        raise ConfigError(
            f"{first.name} ({protocol}, {operator}) and {run.name} ({record.protocol}, {record.operator}) would share "
            f"the column {where}, and their figures cannot be compared; report them apart, as in "
            f"runs={first.folder}"
        )


def _tell_apart(rows: list[Row]) -> None:
    """Adds to rows of the same name the settings in which they differ."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.label, []).append(row)
    for group in groups.values():
        settings = [dict(row.identity) for row in group]
        keys = dict.fromkeys(key for each in settings for key in each)
        differing = [key for key in keys if len({str(each.get(key)) for each in settings}) > 1]
        if "solver._target_" in differing:
            differing = ["solver._target_", *(k for k in differing if k == "solver.tolerance")]
        for row, each in zip(group, settings, strict=True):
            shown = [_shown(key, each.get(key)) for key in differing if key in each or key not in EPSILON]
            row.label += f", {', '.join(shown)}" if shown else ""


def _shown(key: str, value: Any) -> str:
    if key == "solver._target_":
        return f"solver={str(value).rpartition('.')[2]}"
    return f"{key}={'null' if value is None else f'{value:g}' if isinstance(value, float) else value}"


def _network(settings: dict[str, Any]) -> str | None:
    """The published network that this backbone is, whoever trained it."""
    name = str(settings.get("backbone.name", "")).lower()
    words = re.split(r"[^a-z]+", str(settings.get("backbone.root", "")).lower()) if name == "precomputed" else [name]
    return next((network for network in NETWORKS if network.lower() in words), None)


def _label(run: Run, method: str) -> str:
    kind = facts(run, method)
    return f"{method}+{{0}}" if kind is None or not kind.label else kind.label


def _named(run: Run, method: str) -> tuple[str, str | None]:
    return row_label(run, method), _published(run, method)


def _published(run: Run, method: str) -> str | None:
    network = _network(run.settings)
    label = _label(run, method)
    if method in ("bicubic", "pnp"):
        return label
    if network is None or method not in ("backbone", "tvtv", "mcnet"):
        return None
    return label.format(network)


def _stem(weights: str) -> str:
    """A weight's name without folder, ending and scale: "bundled:paper" -> "paper", "dctlsa_x2.pth" -> "dctlsa"."""
    name = weights.split(":", 1)[1] if weights.startswith("bundled:") else Path(weights).name
    return re.sub(r"[_-]?x[2-9](?![0-9])", "", re.sub(r"\.(pth?|ckpt|safetensors)$", "", name))

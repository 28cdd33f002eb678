"""traces.csv: one row per evaluation, none for methods that do not record each of theirs."""

import csv
from pathlib import Path

import torch

from mcnet_lightning.equilibrium import SolveStats
from mcnet_lightning.evaluation.ladder import Estimate
from mcnet_lightning.evaluation.traces import trace_rows, write_traces
from mcnet_lightning.methods import MCNetLayer


def estimate(evaluations: int, trace: list[float]) -> Estimate:
    stats = SolveStats(
        torch.tensor([evaluations]),
        torch.tensor([1e-3]),
        torch.tensor([0]),
        torch.tensor(trace, dtype=torch.float64)[:, None],
    )
    return Estimate(MCNetLayer(), torch.zeros(1, 1, 2, 2), 0.0, stats)


def test_every_evaluation_has_its_row(tmp_path: Path) -> None:
    write_traces(tmp_path / "traces.csv", trace_rows("Set5", "baby", estimate(3, [0.1, 0.01, 1e-3])))
    with (tmp_path / "traces.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["image"], row["evaluation"], float(row["residual"])) for row in rows] == [
        ("baby", "1", 0.1),
        ("baby", "2", 0.01),
        ("baby", "3", 0.001),
    ]


def test_a_trace_that_is_coarser_than_the_evaluations_is_left_out() -> None:
    assert trace_rows("Set5", "baby", estimate(40, [0.1, 0.01])) == []

"""The interactive plots of the page, by plotly: parallel coordinates and a scatter plot of every run."""

import base64
import math
import zlib
from collections.abc import Sequence
from typing import Any

from mcnet_lightning.evaluation.records import Record, finite, gains
from mcnet_lightning.problems.figures import figure
from mcnet_lightning.reporting.rows import column_of, row_label, scale_label
from mcnet_lightning.reporting.runs import Run

SCATTER_AXES = (
    "log10 consistency",
    "PSNR",
    "SSIM",
    "gain, dB",
    "over projection, dB",
    "evaluations",
    "seconds",
    "epsilon",
)
SETTINGS = ("scale", "epsilon", "beta", "tolerance")
MOST_TICKS = 8
CONSISTENT = 1e-8  # ||A x - b|| below this is rounding


def run_rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """One row per run, dataset and method: settings and means, None where there is none."""
    rows = []
    for run in runs:
        means = {(record.dataset, record.method): record for record in run.means()}
        for (_, method), record in means.items():
            rows.append(_row(run, method, record, gains(record, list(means.values()))))
    return rows


def explore_html(rows: Sequence[dict[str, Any]]) -> str:
    """Both plots with plotly's own script, deflated to two fifths, as a fragment that needs nothing else."""
    from plotly.offline import get_plotlyjs

    script = base64.b85encode(zlib.compress(get_plotlyjs().encode(), 9)).decode().replace("<", "'")
    figures = {"parallel": _parallel(rows), "scatter": _scatter(rows)}
    places = [f'<div class="wide"><div id="{name}"></div></div>' for name in figures]
    content = ", ".join(f'"{name}": {figure.to_json()}' for name, figure in figures.items())
    return "\n".join([*places, _inert("plots", f"{{{content}}}".replace("<", "\\u003c")), _inert("plotly", script)])


def _inert(name: str, content: str) -> str:
    """A part of the page that its script reads."""
    return f'<script id="{name}" type="text/plain">{content}</script>'


def _row(run: Run, method: str, record: Record, over: tuple[float | None, float | None]) -> dict[str, Any]:
    return {
        "run": run.name,
        "dataset": record.dataset,
        "scale": record.scale,
        "where": scale_label(column_of(record)),
        "method": method,
        "name": row_label(run, method),
        "protocol": record.protocol,
        "epsilon": run.l2_epsilon if record.epsilon is None else record.epsilon,
        "beta": run.settings.get("beta"),
        "tolerance": run.settings.get("solver.tolerance"),
        **{figure(name).heading: finite(value) for name, value in record.figures.items()},
        "gain, dB": over[0],
        "over projection, dB": over[1],
        "headroom, dB": finite(record.headroom),
        "consistency": record.consistency,
        "log10 consistency": math.log10(max(record.consistency, CONSISTENT)),
        "evaluations": record.evaluations,
        "seconds": record.seconds,
    }


def _parallel(rows: Sequence[dict[str, Any]]) -> Any:
    """A line per run: from its settings to what the layer reached (every method, where there is no layer)."""
    import plotly.graph_objects as go

    rows = [row for row in rows if row["method"] == "mcnet"] or rows
    dimensions = [_words(rows, key) for key in ("dataset", "name") if len({row[key] for row in rows}) > 1]
    for key in (
        "scale",
        "epsilon",
        "beta",
        "tolerance",
        "log10 consistency",
        "evaluations",
        "SSIM",
        "gain, dB",
        "over projection, dB",
        "PSNR",
    ):
        values = [0.0 if row.get(key) is None else row[key] for row in rows]
        if key == "PSNR" or len(set(values)) > 1:
            dimensions.append({"label": key, "values": values} | _ticks(key, values))
    line = {"color": [row.get("PSNR") for row in rows], "colorscale": "Viridis", "showscale": True}
    figure = go.Figure(go.Parcoords(dimensions=dimensions, line=line, labelangle=-12))
    left = 7 * max((len(text) for text in dimensions[0].get("ticktext", [])), default=0)
    return figure.update_layout(height=480, template="none", margin={"l": max(60, left), "r": 60, "t": 90, "b": 30})


def _ticks(key: str, values: list[float]) -> dict[str, Any]:
    """Settings have ticks where there are runs, as long as they can be told apart."""
    found = sorted(set(values))
    if key not in SETTINGS or len(found) > MOST_TICKS:
        return {}
    return {"tickvals": found, "ticktext": [f"{value:g}" for value in found]}


def _words(rows: Sequence[dict[str, Any]], key: str) -> dict[str, Any]:
    """A dimension of names: they become numbers with ticks."""
    names = list(dict.fromkeys(str(row[key]) for row in rows))
    values = [names.index(str(row[key])) for row in rows]
    return {"label": key, "values": values, "tickvals": list(range(len(names))), "ticktext": names}


def _scatter(rows: Sequence[dict[str, Any]]) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["method"], []).append(row)
    for method, group in groups.items():
        hover = [f"{row['run']}<br>{row['name']}, {row['dataset']} {row['where']}" for row in group]
        x, y = ([row.get(key) for row in group] for key in ("log10 consistency", "PSNR"))
        figure.add_scatter(x=x, y=y, mode="markers", name=method, text=hover, marker={"size": 9})
    menus = [_axis_menu(groups, axis, place) for axis, place in (("x", 0.0), ("y", 0.35))]
    figure.update_layout(height=520, updatemenus=menus, margin={"t": 70}, template="none")
    return figure.update_xaxes(title="log10 consistency").update_yaxes(title="PSNR")


def _axis_menu(groups: dict[str, list[dict[str, Any]]], axis: str, place: float) -> dict[str, Any]:
    """A menu that says what is shown along one axis."""
    first = "log10 consistency" if axis == "x" else "PSNR"
    buttons = [
        {
            "label": f"{axis}: {key}",
            "method": "update",
            "args": [
                {axis: [[row.get(key) for row in group] for group in groups.values()]},
                {f"{axis}axis.title.text": key},
            ],
        }
        for key in SCATTER_AXES
    ]
    return {"buttons": buttons, "active": SCATTER_AXES.index(first), "x": place, "y": 1.16, "xanchor": "left"}

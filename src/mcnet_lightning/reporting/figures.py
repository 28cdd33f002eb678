"""Figures, drawn by matplotlib: curves along a setting, and how solvers converge."""

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mcnet_lightning.reporting.curves import AXES, Curve
from mcnet_lightning.reporting.rows import column_of, row_label, scale_label
from mcnet_lightning.reporting.runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CURVES = 12  # a legend that can still be read


def new_figure(width: float = 7.0, height: float = 4.2) -> "Figure":
    """An empty figure that needs no screen."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def curve_figure(axis: str, curves: Sequence[Curve]) -> "Figure":
    """PSNR against the setting `axis`; for epsilon PSNR against consistency, the trade-off itself."""
    shown = curves[:MOST_CURVES]
    figure = new_figure(height=3.6 + 0.16 * len(shown))  # the legend is below
    plot = figure.add_subplot()
    for number, curve in enumerate(shown):
        trade_off = axis == "epsilon"
        x = [point.consistency if trade_off else point.value for point in curve.points]
        style: dict[str, Any] = {"color": f"C{number % 10}", "marker": "os"[number // 10], "markersize": 4}
        plot.plot(x, [point.psnr for point in curve.points], label=curve.label, **style)
        if trade_off:
            for point, place in zip(curve.points, x, strict=True):
                if math.isfinite(point.psnr):
                    plot.annotate(
                        f"{point.value:g}", (place, point.psnr), textcoords="offset points", xytext=(4, 4), size=7
                    )
    plot.set_xlabel("||A x - b||, mean over images (numbers: epsilon)" if axis == "epsilon" else AXES[axis])
    plot.set_ylabel("PSNR, dB")
    if axis != "noise":
        plot.set_xscale("log" if axis in ("tolerance", "beta") else "symlog", **_linear_below(axis, curves))
    if axis == "tolerance":
        plot.invert_xaxis()
    _finish(figure, plot)
    return figure


def convergence_figure(runs: Sequence[Run]) -> "Figure | None":
    """Residual against evaluations of T: one thin line per image, one colour per run. None without traces."""
    traced = [run for run in runs if run.traces][:MOST_CURVES]
    if not traced:
        return None
    figure = new_figure()
    plot = figure.add_subplot()
    for number, run in enumerate(traced):
        label: str | None = _solver(run)
        for residuals in run.traces.values():
            numbers = range(1, len(residuals) + 1)
            plot.plot(numbers, residuals, color=f"C{number % 10}", linewidth=1, alpha=0.8, label=label)
            label = None
    plot.set_yscale("log")
    plot.set_xscale("log")
    plot.set_xlabel("evaluations of T")
    plot.set_ylabel("relative residual")
    _finish(figure, plot)
    return figure


def svg(figure: "Figure") -> str:
    """The figure as an SVG element, the same bytes for the same data."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "mcnet", "svg.fonttype": "path"}):
        figure.savefig(file := io.StringIO(), format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    return text[text.index("<svg") :]


def _solver(run: Run) -> str:
    kind = str(run.settings.get("solver._target_", "")).rpartition(".")[2].removesuffix("Solver")
    record = next(run.means())
    return f"{run.name}: {kind}, {row_label(run, 'mcnet')}, {record.dataset} {scale_label(column_of(record))}"


def _linear_below(axis: str, curves: Sequence[Curve]) -> dict[str, Any]:
    if axis != "epsilon":
        return {}
    return {"linthresh": 1e-3}


def _finish(figure: "Figure", plot: Any) -> None:
    plot.grid(alpha=0.3)
    for side in ("top", "right"):
        plot.spines[side].set_visible(False)
    if plot.get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", fontsize=8, frameon=False)

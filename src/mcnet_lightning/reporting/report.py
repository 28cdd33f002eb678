"""A whole report: what it consists of, and its files."""

from dataclasses import replace
from pathlib import Path

from mcnet_lightning.evaluation.records import FIRST_PROBLEM, better
from mcnet_lightning.files import make_folder, staged, write_file
from mcnet_lightning.files.extras import place_of
from mcnet_lightning.reporting.crops import Pictured, crop_strip, pictured
from mcnet_lightning.reporting.curves import AXES, curve_table, curves, robustness_table
from mcnet_lightning.reporting.explore import explore_html, run_rows
from mcnet_lightning.reporting.page import MOST_PICTURES, Page
from mcnet_lightning.reporting.paper import consistency_table, gain_table, quality_table
from mcnet_lightning.reporting.rows import build_rows
from mcnet_lightning.reporting.runs import Run, read_runs
from mcnet_lightning.reporting.tables import FORMS, Table

CAPTIONS = {
    "tolerance": "Tolerance curve: PSNR against the solver's tolerance.",
    "epsilon": "Trade-off: PSNR against consistency, for several epsilon.",
    "epsilon_rms": "The same for epsilon as a root mean square per measured value.",
    "epsilon_levels": "The same in grey levels of 255.",
    "beta": "PSNR against beta, the weight of ||x - w||^2.",
    "noise": "PSNR against the noise on LR, in grey levels.",
}
MANY_RUNS = 3  # from which interactive plots say more than the table; they add 1.8 MB to the page
NEEDED = {"matplotlib": "curves", "plotly": "interactive plots"}


def write_report(folders: list[str], output: Path, seed: int = 0) -> list[Path]:
    """Reads the runs, writes every table, figure and the page to `output`, and returns the files.

    Raises ConfigError rather than mix protocols or operators in one column, DataError for folders without runs.
    """
    runs = read_runs(folders)
    tables = _tables(runs, seed)
    page = Page("MCNet: runs compared", _about(runs), tables)
    files = {f"{table.name}.{ending}": form(table) for table in tables for ending, form in FORMS.items()}
    if _have("matplotlib", page):
        for name, caption, svg in _figures(runs):
            page.figures.append((caption, svg))
            files[f"{name}.svg"] = svg
    page.runs = run_rows(runs)
    if len(runs) >= MANY_RUNS and _have("plotly", page):
        page.explore = explore_html(page.runs)
    pictures = _best_first(list(pictured(runs)))
    page.sliders = pictures[:MOST_PICTURES]
    page.crops = [(item.title, strip) for item in page.sliders if (strip := crop_strip(item)) is not None]
    make_folder(output, "choose another output")
    files["index.html"] = page.html()
    for name, content in files.items():
        write_file(output / name, content)
    for number, (_, strip) in enumerate(page.crops):
        with staged(output / f"crop_{number:02}.png") as temporary:
            strip.save(temporary, "PNG")
    return [output / name for name in files]


def _tables(runs: list[Run], seed: int) -> list[Table]:
    """Those that have rows. Runs with a perturbed LR are in none of the paper's tables."""
    tables = []
    for problem, of_problem in _by_problem(runs).items():
        clean = [run for run in of_problem if not run.perturbed]
        rows = build_rows(clean)
        made = [quality_table(rows), consistency_table(rows), gain_table(rows, seed)] if rows else []
        made += [curve_table(axis, curves(of_problem, axis)) for axis in AXES]
        if len(clean) < len(of_problem):
            made.append(robustness_table(of_problem))
        end = "" if problem == FIRST_PROBLEM else f"_{problem}"
        tables += [replace(table, name=table.name + end) for table in made]
    return [table.without_empty_columns() for table in tables if table.rows]


def _by_problem(runs: list[Run]) -> dict[str, list[Run]]:
    return {name: [run for run in runs if run.problem == name] for name in dict.fromkeys(run.problem for run in runs)}


def _figures(runs: list[Run]) -> list[tuple[str, str, str]]:
    """Name, caption and SVG of every figure that the runs allow."""
    from mcnet_lightning.reporting.figures import MOST_CURVES, convergence_figure, curve_figure, svg

    found = []
    for problem, of_problem in _by_problem(runs).items():
        end = "" if problem == FIRST_PROBLEM else f"_{problem}"
        for axis, caption in CAPTIONS.items():
            if lines := curves(of_problem, axis):
                left_out = f" The first {MOST_CURVES} of {len(lines)} lines." if len(lines) > MOST_CURVES else ""
                found.append((f"curve_{axis}{end}", caption + left_out, svg(curve_figure(axis, lines))))
    if (figure := convergence_figure(runs)) is not None:
        found.append(
            ("convergence", "Convergence: residual after each evaluation of T, a line per image.", svg(figure))
        )
    return found


def _have(package: str, page: Page) -> bool:
    """Whether an optional package is there; if not, the page says what is left out."""
    if place_of(package) is not None:
        return True
    page.notes.append(f"Without {package} there are no {NEEDED[package]}: pip install 'mcnet-lightning[report]'.")
    return False


def _about(runs: list[Run]) -> list[str]:
    records = [record for run in runs for record in run.means()]
    protocols = ", ".join(sorted({record.protocol for record in records}))
    operators = ", ".join(sorted({record.operator for record in records}))
    return [
        f"{len(runs)} run{'s' * (len(runs) > 1)}, protocol {protocols}, operator {operators}.",
        "Published figures: Mourya & Mota, MCNet: measurement-consistent networks via a deep implicit layer for "
        "solving inverse problems, ICASSP 2023, Tables 1 and 2.",
    ]


def _best_first(items: list[Pictured]) -> list[Pictured]:
    def gain(item: Pictured) -> float:
        ours, theirs = item.record("mcnet"), item.record("backbone")
        found = better(ours, theirs) if ours is not None and theirs is not None else None
        return -1e9 if found is None else found

    return sorted(items, key=gain, reverse=True)

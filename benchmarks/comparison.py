"""Figures of a comparison, their means over images, the bars of the project, and the files that hold them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from measuring import cell, has_matrix_units, markdown, write_csv
from schemes import (
    ALL_OURS,
    BROYDEN_BACKWARD,
    INFERENCE_ONLY,
    OURS_BACKWARD,
    PUBLISHED,
    PUBLISHED_ACCURATE,
    SCHEMES,
    TARGET,
    TRAINING_ONLY,
)

COLUMNS = (
    "scenario",
    "scheme",
    "evaluations",
    "products",
    "seconds_cpu",
    "seconds_wall",
    "gradient_error",
    "psnr_delta",
    "peak_mb",
)
IMAGE_COLUMNS = (
    "scenario",
    "scheme",
    "image",
    "evaluations",
    "residual",
    "seconds_cpu",
    "seconds_wall",
    "psnr",
    "psnr_delta",
)
TRAIN = "train"  # how the names of training scenarios begin
LARGEST_PSNR_DELTA = 0.005  # dB, of every image
# how many times our time each scheme must take at least: with AMX, and without
TRAIN_BARS = {
    "published_settings": (12, 8),
    "torchdeq_anderson": (12, 8),
    "torchdeq_broyden": (4.5, 3),
    "deepinv_anderson": (7, 4.5),
    "deepinv_plain": (7, 4.5),
}
INFER_BARS = {PUBLISHED: (8, 8), PUBLISHED_ACCURATE: (8, 8)}  # in evaluations, too


@dataclass(frozen=True)
class Figures:
    """Of one scheme on one problem. Evaluations and products per sample; psnr and residual where the scheme stopped."""

    scenario: str
    scheme: str
    image: str
    evaluations: float
    residual: float
    psnr: float
    seconds_cpu: float = 0.0
    seconds_wall: float = 0.0
    peak_mb: float | None = None
    products: float | None = None
    gradient_error: float | None = None
    psnr_delta: float | None = None  # to the converged float64 fixed point

    @property
    def error(self) -> float:
        found = self.psnr_delta if self.gradient_error is None else self.gradient_error
        assert found is not None
        return abs(found)


def write_comparison(
    folder: Path,
    figures: Sequence[Figures],
    extent: str,
    machine: Mapping[str, str],
    missing: Mapping[str, str],
    failures: Mapping[str, str],
) -> None:
    """compare.csv, compare_images.csv and compare.md. A scheme that did not run has a row without figures."""
    names = list(dict.fromkeys(each.scenario for each in figures))
    pairs = [
        (name, scheme)
        for name in names
        for scheme in (*SCHEMES, *INFERENCE_ONLY)
        if scheme not in (INFERENCE_ONLY if name.startswith(TRAIN) else TRAINING_ONLY)
    ]
    rows = [_row(figures, *pair) for pair in pairs]
    cells = [[cell(row[column]) for column in COLUMNS] for row in rows]
    write_csv(folder / "compare.csv", COLUMNS, cells)
    of_images = [each for each in figures if each.psnr_delta is not None]
    write_csv(
        folder / "compare_images.csv",
        IMAGE_COLUMNS,
        [[cell(getattr(each, column)) for column in IMAGE_COLUMNS] for each in of_images],
    )
    absent = [f"- {what}: {why}" for what, why in {**missing, **failures}.items()]
    parts = [
        f"# Solvers compared ({extent})",
        "`python benchmarks/compare.py`: means over images, medians of interleaved rounds. See benchmarks/README.md.",
        markdown(("machine", ""), list(machine.items())),
        f"Backward tolerance: ours {OURS_BACKWARD:g}, torchdeq_broyden_tuned {BROYDEN_BACKWARD:g}, others as forwards.",
        "## Figures",
        markdown(COLUMNS, cells),
        *(part for ours in ALL_OURS for part in _against(figures, pairs, ours)),
        *(["## Not measured", "\n".join(absent)] if absent else []),
    ]
    (folder / "compare.md").write_text("\n\n".join(parts) + "\n")
    print("\n\n".join(parts))


def _against(figures: Sequence[Figures], pairs: Sequence[tuple[str, str]], ours: str) -> list[str]:
    """How many times what `ours` takes the others take, and how accurate it is; nothing where it did not run."""
    names = [name for name in dict.fromkeys(name for name, _ in pairs) if _of(figures, name, ours)]
    if not names:
        return []
    others = [pair for pair in pairs if pair[1] not in ALL_OURS and _of(figures, pair[0], ours)]
    return [
        f"## Times against {ours}",
        markdown(
            ("scenario", "scheme", "evaluations ratio", "CPU ratio", "wall ratio", "bar", "met"),
            [_ratio(figures, *pair, ours) for pair in others],
        ),
        f"## Accuracy of {ours}",
        markdown(("scenario", "worst", "allowed"), [_accuracy(figures, name, ours) for name in names]),
    ]


def _row(figures: Sequence[Figures], scenario: str, scheme: str) -> dict[str, object]:
    chosen = _of(figures, scenario, scheme)
    row: dict[str, object] = {"scenario": scenario, "scheme": scheme}
    for column in COLUMNS[2:]:
        values = [value for each in chosen if (value := getattr(each, column)) is not None]
        row[column] = mean(values) if values else None
    return row


def _ratio(figures: Sequence[Figures], scenario: str, scheme: str, reference: str) -> list[str]:
    training = scenario.startswith(TRAIN)
    bar = (TRAIN_BARS if training else INFER_BARS).get(scheme)
    ours, theirs = _of(figures, scenario, reference), _of(figures, scenario, scheme)
    theirs_of = {each.image: each for each in theirs}
    if not ours or not theirs or any(each.image not in theirs_of for each in ours):
        return [scenario, scheme, "", "", "", "", "not measured"]
    ratios = {
        name: mean(getattr(theirs_of[each.image], name) for each in ours) / mean(getattr(each, name) for each in ours)
        for name in ("evaluations", "seconds_cpu", "seconds_wall")
    }
    shown = [scenario, scheme, *(f"{ratio:.1f}" for ratio in ratios.values())]
    if bar is None:
        return [*shown, "", ""]
    least = bar[0] if has_matrix_units() else bar[1]
    judged = [ratio for name, ratio in ratios.items() if not (training and name == "evaluations")]
    met = min(judged) >= least and _worst(ours) <= (TARGET if training else LARGEST_PSNR_DELTA)
    return [*shown, f"{least:g}", "yes" if met else "no"]


def _accuracy(figures: Sequence[Figures], scenario: str, ours: str) -> list[str]:
    worst = _worst(_of(figures, scenario, ours))
    if scenario.startswith(TRAIN):
        return [scenario, f"gradient error {worst:.4f}", f"{TARGET:g}"]
    return [scenario, f"PSNR off by {worst:.4f} dB", f"{LARGEST_PSNR_DELTA:g}"]


def _worst(figures: Sequence[Figures]) -> float:
    return max(each.error for each in figures)


def _of(figures: Sequence[Figures], scenario: str, scheme: str) -> list[Figures]:
    return [each for each in figures if (each.scenario, each.scheme) == (scenario, scheme)]

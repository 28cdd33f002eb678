"""A table of text, and its three forms: Markdown, LaTeX, CSV."""

import contextlib
import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, field

BETTER = {"PSNR": 1, "SSIM": 1, "gain": 1, "largest": -1, "consistency": -1}  # by words of headings
LATEX = {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$"}


@dataclass
class Table:
    """`rows` hold one text per heading, numbers as they are to be shown; `caption` is one sentence."""

    name: str
    caption: str
    headings: list[str]
    rows: list[list[str]] = field(default_factory=list)

    def without_empty_columns(self) -> "Table":
        kept = [place for place in range(len(self.headings)) if any(row[place] for row in self.rows)]
        rows = [[row[place] for place in kept] for row in self.rows]
        return Table(self.name, self.caption, [self.headings[place] for place in kept], rows)

    def best(self) -> set[tuple[int, int]]:
        """(row, column) of the best value of its column among rows of one dataset and scale; ties all count."""
        found = set()
        for place, heading in enumerate(self.headings):
            sign = next((sign for word, sign in BETTER.items() if word in heading), 0)
            groups: dict[tuple[str, ...], dict[int, float]] = {}
            for index, row in enumerate(self.rows):
                group = tuple(row[i] for i, name in enumerate(self.headings) if name in ("dataset", "scale"))
                with contextlib.suppress(ValueError):
                    groups.setdefault(group, {})[index] = sign * float(row[place].split(" ")[0])
            for values in groups.values():
                if sign and len(values) > 1:
                    found |= {(index, place) for index, value in values.items() if value == max(values.values())}
        return found

    def markdown(self) -> str:
        lines = ["| " + " | ".join(self.headings) + " |", "|" + "|".join(["---"] * len(self.headings)) + "|"]
        lines += ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in self.rows]
        return f"{self.caption}\n\n" + "\n".join(lines) + "\n"

    def latex(self) -> str:
        """A tabular for booktabs."""
        columns = "l" * self._texts() + "r" * (len(self.headings) - self._texts())
        body = [" & ".join(map(_escape, row)) + r" \\" for row in self.rows]
        return "\n".join(
            [
                f"% {self.caption}",
                rf"\begin{{tabular}}{{{columns}}}",
                r"\toprule",
                " & ".join(map(_escape, self.headings)) + r" \\",
                r"\midrule",
                *body,
                r"\bottomrule",
                r"\end{tabular}",
                "",
            ]
        )

    def csv(self) -> str:
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(self.headings)
        writer.writerows(self.rows)
        return file.getvalue()

    def _texts(self) -> int:
        """How many columns at the left hold words."""
        return next((i for i, heading in enumerate(self.headings) if heading not in ("scale", "dataset", "method")), 1)


FORMS: dict[str, Callable[[Table], str]] = {"md": Table.markdown, "tex": Table.latex, "csv": Table.csv}


def _escape(text: str) -> str:
    return "".join(LATEX.get(letter, letter) for letter in text)

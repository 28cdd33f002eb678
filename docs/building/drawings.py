"""Pictures drawn anew at each build: the package's rooms from its imports, gain against headroom from a CSV file."""

import ast
import csv
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

PACKAGE = "mcnet_lightning"
ABOUT = {  # a line on each room; the picture fails to build if one is missing
    "errors": "what people are told",
    "files": "written whole, read safely",
    "config": "every key and its limits",
    "operators": "A and its transpose",
    "imaging": "colour, pictures",
    "equilibrium": "projection, T, solvers",
    "denoisers": "R and its bounds",
    "problems": "b = A x + n",
    "backbones": "w, frozen",
    "model": "w, then the layer",
    "data": "sets of images",
    "methods": "rows of the ladder",
    "build": "objects from settings",
    "evaluation": "figures, tables",
    "restoration": "your own pictures",
    "reporting": "tables, pages",
    "training": "Lightning",
    "demonstration": "a page in a browser",
    "sweeps": "what is left to do",
    "cli": "doors, --help",
    "commands": "train, restore, ...",
}
STYLE = """<style>
text { font: 13px system-ui, sans-serif; fill: #222 } .small { font-size: 11px; fill: #666 }
rect { fill: #eef3fb; stroke: #5a7db5; rx: 6px } path, line { fill: none; stroke: #8a9ab5 }
.dot0 { fill: #3366aa } .dot1 { fill: #cc6633 } .dot2 { fill: #449955 }
</style>"""


def drawings(root: Path) -> dict[str, str]:
    made = {"images/rooms.svg": rooms(root / "src" / PACKAGE)}
    table = root / "experiments" / "headroom" / "results" / "headroom.csv"
    return made | ({"images/headroom.svg": headroom(table)} if table.exists() else {})


def imports(source: Path) -> dict[str, set[str]]:
    """Which rooms each room imports from; the commands, which are files of their own, count as one."""
    commands = {path.stem for path in source.glob("*.py")} - {"__init__", "errors"}
    graph: dict[str, set[str]] = {}
    for path in sorted(source.rglob("*.py")):
        first = path.relative_to(source).parts[0].removesuffix(".py")
        if first == "__init__":
            continue
        room = "commands" if first in commands else first
        found = graph.setdefault(room, set())
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}".split(".") for alias in node.names]
                found |= {name[1] for name in names if name[0] == PACKAGE}
        found -= {room}
    return {room: {each for each in found if each in graph} for room, found in graph.items()}


def reduced(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Without what others of a room's imports import in any case."""

    @cache
    def below(room: str) -> frozenset[str]:
        return frozenset().union(*({each} | below(each) for each in graph[room])) if graph[room] else frozenset()

    return {
        room: {each for each in found if not any(each in below(other) for other in found)}
        for room, found in graph.items()
    }


def rooms(source: Path) -> str:
    """The rooms, each below everything that it imports."""
    graph = imports(source)

    @cache
    def depth(room: str) -> int:
        return 1 + max((depth(each) for each in graph[room]), default=-1)

    floors = [[room for room in sorted(graph) if depth(room) == number] for number in range(1 + max(map(depth, graph)))]
    wide, high, gap = 165, 42, 30
    width = max(map(len, floors)) * (wide + gap)
    at = {
        room: (width / 2 + (place - (len(floor) - 1) / 2) * (wide + gap), number * (high + gap) + 30)
        for number, floor in enumerate(floors)
        for place, room in enumerate(floor)
    }
    lines = [
        f'<path d="M{at[upper][0]:.0f} {at[upper][1] + high / 2:.0f} C {at[upper][0]:.0f} {at[upper][1] + high:.0f}, '
        f'{at[room][0]:.0f} {at[room][1] - high:.0f}, {at[room][0]:.0f} {at[room][1] - high / 2:.0f}"/>'
        for room, found in reduced(graph).items()
        for upper in sorted(found)
    ]
    boxes = [
        f'<rect x="{x - wide / 2:.0f}" y="{y - high / 2:.0f}" width="{wide}" height="{high}"/>'
        f'<text x="{x:.0f}" y="{y - 3:.0f}" text-anchor="middle">{room}</text>'
        f'<text class="small" x="{x:.0f}" y="{y + 13:.0f}" text-anchor="middle">{ABOUT[room]}</text>'
        for room, (x, y) in at.items()
    ]
    return _svg(width, len(floors) * (high + gap) + 10, [*lines, *boxes])


def headroom(table: Path) -> str:
    """Gain over the raw network against headroom, a point for each network, scale and protocol."""
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    points = [(float(row["headroom"]), float(row["gain"]), row) for row in rows]
    right = max(x for x, _, _ in points) * 1.15
    low, high = min(0.0, *(y for _, y, _ in points)) - 0.02, max(y for _, y, _ in points) * 1.1
    across, up = _scale(0, right, 60, 600), _scale(low, high, 330, 20)
    names = list(dict.fromkeys(row["network"] for row in rows))
    body = [*_axis(across, up, right, low, high)]
    for x, y, row in points:
        body += [f'<circle class="dot{names.index(row["network"])}" cx="{across(x):.1f}" cy="{up(y):.1f}" r="5"/>']
        body += [f'<text class="small" x="{across(x) + 8:.1f}" y="{up(y) + 4:.1f}">x{row["scale"]}</text>']
    for number, name in enumerate(names):
        body += [f'<circle class="dot{number}" cx="430" cy="{40 + 20 * number}" r="5"/>']
        body += [f'<text x="442" y="{44 + 20 * number}">{name}</text>']
    return _svg(620, 380, body)


def _axis(
    across: Callable[[float], float], up: Callable[[float], float], right: float, low: float, high: float
) -> Iterable[str]:
    yield f'<line x1="60" x2="600" y1="{up(0):.1f}" y2="{up(0):.1f}"/><line x1="60" x2="60" y1="20" y2="330"/>'
    yield f'<path stroke-dasharray="4 4" d="M{across(0)} {up(0)} L{across(min(right, high))} {up(min(right, high))}"/>'
    for number in range(6):
        x, y = number * right / 5, low + number * (high - low) / 5
        yield f'<text class="small" x="{across(x):.0f}" y="348" text-anchor="middle">{x:.2f}</text>'
        yield f'<text class="small" x="52" y="{up(y) + 4:.0f}" text-anchor="end">{y:.2f}</text>'
    yield '<text x="330" y="370" text-anchor="middle">headroom: what a perfect b could add to the network, dB</text>'
    yield '<text transform="translate(14 175) rotate(-90)" text-anchor="middle">gain over the network, dB</text>'


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _svg(width: float, height: float, body: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}">'
        f'{STYLE}<rect x="0" y="0" width="100%" height="100%" style="fill: #fff; stroke: none"/>'
        + "\n".join(body)
        + "</svg>\n"
    )

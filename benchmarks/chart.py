"""Line charts with log scales, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

COLOURS = (
    "#7f7f7f",
    "#d62728",
    "#ff7f0e",
    "#9467bd",
    "#1f77b4",
    "#2ca02c",
    "#8c564b",
    "#e377c2",
)

WIDTH, HEIGHT = 560, 360
LEFT, RIGHT, TOP, BOTTOM = 72, 16, 40, 48
KEY_HEIGHT, KEY_COLUMNS = 22, 3


@dataclass(frozen=True, slots=True)
class Line:
    """A named line; `colour` counts through the colours, `dashed` tells twins apart."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: int
    dashed: bool = False

    def stroke(self) -> str:
        """How the line is drawn."""
        dashes = ' stroke-dasharray="5 4"' if self.dashed else ""
        return f'stroke="{COLOURS[self.colour % len(COLOURS)]}"{dashes} fill="none"'


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: both axes are logarithmic, all values must be above zero.

    Attributes:
        title: what stands above it.
        across: the name of the horizontal axis.
        lines: what is drawn.
        label: how a value of the vertical axis is written.
    """

    title: str
    across: str
    lines: Sequence[Line]
    label: Callable[[float], str]


def draw(panels: Sequence[Panel]) -> str:
    """The panels side by side, and one key below."""
    names = {line.name: line for panel in panels for line in panel.lines}
    width = WIDTH * len(panels)
    rows = ceil(len(names) / KEY_COLUMNS)
    height = HEIGHT + 16 + KEY_HEIGHT * rows
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="12" role="img">',
        f"<title>{escape('; '.join(panel.title for panel in panels))}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for number, panel in enumerate(panels):
        parts.append(f'<g transform="translate({number * WIDTH} 0)">')
        parts += _panel(panel)
        parts.append("</g>")
    for number, (name, line) in enumerate(names.items()):
        x = LEFT + number % KEY_COLUMNS * (width - LEFT - RIGHT) / KEY_COLUMNS
        y = HEIGHT + 16 + number // KEY_COLUMNS * KEY_HEIGHT
        parts.append(
            f'<path d="M{x:.1f} {y - 4}h28" {line.stroke()} stroke-width="3"/>'
            f'<text x="{x + 36:.1f}" y="{y}" fill="#222222">{escape(name)}</text>'
        )
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _panel(panel: Panel) -> list[str]:
    drawn = [line for line in panel.lines if line.points]
    points = [point for line in drawn for point in line.points]
    if not points:
        return []
    left, right = _decades([x for x, _ in points], whole=False)
    low, high = _decades([y for _, y in points], whole=True)

    def across(value: float) -> float:
        return LEFT + (log10(value) - left) / (right - left) * (WIDTH - LEFT - RIGHT)

    def down(value: float) -> float:
        return HEIGHT - BOTTOM - (log10(value) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text x="{LEFT}" y="24" font-size="14" fill="#222222">{escape(panel.title)}</text>']
    for power in range(ceil(left), floor(right) + 1):
        x = across(10**power)
        parts.append(
            f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#e4e4e4"/>'
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" '
            f'fill="#555555">{10**power:,}</text>'
        )
    for power in range(ceil(low), floor(high) + 1):
        y = down(10**power)
        parts.append(
            f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#e4e4e4"/>'
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" '
            f'fill="#555555">{escape(panel.label(10.0**power))}</text>'
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.1f}" y="{HEIGHT - 10}" text-anchor="middle" '
        f'fill="#555555">{escape(panel.across)}</text>'
    )
    for line in drawn:
        path = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in line.points)
        parts.append(
            f'<polyline points="{path}" {line.stroke()} '
            f'stroke-width="2" stroke-linejoin="round"><title>{escape(line.name)}</title>'
            "</polyline>"
        )
    return parts


def _decades(values: Sequence[float], *, whole: bool) -> tuple[float, float]:
    """The logarithms of the ends of an axis."""
    low, high = log10(min(values)), log10(max(values))
    if whole:
        low, high = floor(low), ceil(high)
    return (low, high) if high > low else (low, low + 1)

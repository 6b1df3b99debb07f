"""Charts as plain geometry for server-rendered SVG: a line with its noise band, and a sparkline.

Across, positions are per cent of the width, so that text keeps its size on every screen; down, they are pixels.
Nothing is drawn below nought, and days without a release leave a gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from math import ceil, floor, log10
from typing import Final

from consent_app.dashboard.figures import Estimate, Figure, count
from consent_app.dashboard.periods import span

HEIGHT: Final = 224
SPARK_HEIGHT: Final = 40
WIDTH: Final = 1000
STRIDES: Final = (1, 2, 7, 14, 28)


@dataclass(frozen=True, slots=True)
class Point:
    """One day, week or month of a line; `estimate` is None where nothing was released."""

    start: date
    end: date
    estimate: Estimate | None

    @property
    def label(self) -> str:
        """Its days in words."""
        return span(self.start, self.end)


@dataclass(frozen=True, slots=True)
class Mark:
    """One point: `x` per cent, `y`, `high`, `low` pixels down; the pointer finds it from `left` over `width` per cent.

    A `lone` point has no line to its neighbours and is always drawn.
    """

    x: float
    y: float
    high: float
    low: float
    left: float
    width: float
    label: str
    figure: Figure
    lone: bool
    start: date
    end: date


@dataclass(frozen=True, slots=True)
class Tick:
    """A label on an axis; `minor` ones give way on narrow screens."""

    position: float
    label: str
    anchor: str = "end"
    minor: bool = False


@dataclass(frozen=True, slots=True)
class LineChart:
    """Everything the template draws: paths in a 1000 x `height` box, marks and ticks around it.

    `earlier` are the lines of the days it is compared with.
    """

    title: str
    description: str
    height: int
    lines: tuple[str, ...]
    bands: tuple[str, ...]
    earlier: tuple[str, ...]
    marks: tuple[Mark, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]


def line(title: str, points: Sequence[Point], labels: Sequence[str], earlier: Sequence[Point] = ()) -> LineChart:
    """A line chart of `points`; `labels` are their short names on the axis, `earlier` what they are compared with."""
    step, top = _scale([p.estimate for p in (*points, *earlier) if p.estimate])
    return LineChart(
        title,
        describe(points),
        HEIGHT,
        *_paths(points, top, HEIGHT),
        _paths(earlier, top, HEIGHT, len(points))[0],
        tuple(_marks(points, top)),
        tuple(_across(labels)),
        tuple(Tick(_down(level, top, HEIGHT), compact(level)) for level in range(0, top + 1, step)),
    )


def spark(title: str, points: Sequence[Point]) -> LineChart:
    """A small line without axes."""
    _, top = _scale([p.estimate for p in points if p.estimate])
    return LineChart(title, describe(points), SPARK_HEIGHT, *_paths(points, top, SPARK_HEIGHT), (), (), (), ())


def describe(points: Sequence[Point]) -> str:
    """The chart in one sentence for those who do not see it."""
    released = [(p.estimate.value, p) for p in points if p.estimate]
    if not released:
        return "Nothing has been released for these days."
    (_, lowest), (_, highest) = min(released, key=lambda r: r[0]), max(released, key=lambda r: r[0])
    return f"Lowest: {_worded(lowest)} ({lowest.label}). Highest: {_worded(highest)} ({highest.label})."


def compact(level: int) -> str:
    """An axis number in few characters: 850, 1,200, 24k, 1.5M."""
    if level >= 1_000_000:
        return f"{level / 1_000_000:g}M"
    return f"{level / 1000:g}k" if level >= 10_000 else f"{level:,}"


def _worded(point: Point) -> str:
    figure = count(point.estimate or Estimate(0, 0))
    return figure.text + (f" ± {figure.margin}" if figure.margin else "")


def _scale(estimates: Sequence[Estimate]) -> tuple[int, int]:
    """A round step and the top of the axis: at most five steps hold the highest upper margin."""
    highest = max((e.value + e.margin for e in estimates), default=0)
    rough = max(highest, 4) / 4
    power = 10 ** floor(log10(rough))
    step = int(next(s * power for s in (1, 2, 5, 10) if s * power >= rough))
    return step, step * max(1, ceil(highest / step))


def _x(index: int, points: int) -> float:
    return 50.0 if points == 1 else 100 * index / (points - 1)


def _down(value: float, top: int, height: int) -> float:
    return round(height * (1 - min(max(value, 0), top) / top), 1)


def _runs(points: Sequence[Point], places: int) -> Iterator[list[tuple[float, Estimate]]]:
    """Neighbouring released points together, each with its place across in a box of so many `places`."""
    run: list[tuple[float, Estimate]] = []
    for index, point in enumerate(points):
        if point.estimate:
            run.append((round(_x(index, places) * WIDTH / 100, 1), point.estimate))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _paths(points: Sequence[Point], top: int, height: int, places: int = 0) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Lines and bands; the points fill the box, or the first of its `places`."""
    lines, bands = [], []
    for run in _runs(points, places or len(points)):
        lines.append("M" + "L".join(f"{x:g} {_down(e.value, top, height):g}" for x, e in run))
        upper = [f"{x:g} {_down(e.value + e.margin, top, height):g}" for x, e in run]
        lower = [f"{x:g} {_down(e.value - e.margin, top, height):g}" for x, e in reversed(run)]
        bands.append("M" + "L".join(upper + lower) + "Z")
    return tuple(lines), tuple(bands)


def _marks(points: Sequence[Point], top: int) -> Iterator[Mark]:
    width = 100 / max(len(points) - 1, 1)
    for index, point in enumerate(points):
        if point.estimate is None:
            continue
        x, e = _x(index, len(points)), point.estimate
        yield Mark(
            round(x, 2),
            _down(e.value, top, HEIGHT),
            _down(e.value + e.margin, top, HEIGHT),
            _down(e.value - e.margin, top, HEIGHT),
            round(x - width / 2, 2),
            round(width, 2),
            point.label,
            count(e),
            not any(p.estimate for p in (*points[max(index - 1, 0) : index], *points[index + 1 : index + 2])),
            point.start,
            point.end,
        )


def _across(labels: Sequence[str]) -> Iterator[Tick]:
    stride = next((s for s in STRIDES if len(labels) <= 8 * s), len(labels))
    for order, index in enumerate(range(0, len(labels), stride)):
        x = _x(index, len(labels))
        anchor = "start" if x == 0 else "end" if x == 100 else "middle"
        yield Tick(round(x, 2), labels[index], anchor, minor=order % 2 == 1)

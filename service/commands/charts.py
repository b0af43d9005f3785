"""Charts as SVG, drawn by rule alone: the same numbers give the same text."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from models.training.calibration import Bin
from models.training.ranking import Curve

_WIDTH, _HEIGHT = 380, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 14, 46
_MOST_TICKS = 10
_GOLDEN = 0.618034  # a step that spreads points beside each other without a generator
_COLOURS = ("#4aa3df", "#e67e3c", "#5bbf7a", "#c678dd", "#d9c24a", "#e06c75")

Span = tuple[float, float]
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Axes:
    """Two spans of values with their names, over the room of one chart."""

    x: Span
    y: Span
    x_name: str
    y_name: str

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where values lie in the chart."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)


def strip_plot(groups: Mapping[str, Sequence[float]], name: str) -> str:
    """Every value of every group as a dot, groups side by side, and a bar at each mean."""
    values = [value for group in groups.values() for value in group]
    axes = Axes((0.0, float(max(1, len(groups)))), _around(values), "", name)
    drawn = [_vertical_scale(axes)]
    for number, (group, of_group) in enumerate(groups.items()):
        dots = [(number + 0.25 + 0.5 * (index * _GOLDEN % 1), value) for index, value in enumerate(of_group)]
        drawn += [_dots(axes, dots, _colour(number)), _text(*axes.at(number + 0.5, axes.y[0]), group, below=18)]
        if of_group:
            mean = sum(of_group) / len(of_group)
            drawn.append(_line(axes, [(number + 0.2, mean), (number + 0.8, mean)], "#eef0f3"))
    return _chart(drawn, name)


def agreement_plot(groups: Mapping[str, Points], x_name: str, y_name: str) -> str:
    """Pairs as dots around the line on which both are equal."""
    span = _around([value for points in groups.values() for pair in points for value in pair])
    axes = Axes(span, span, x_name, y_name)
    drawn = [_scales(axes), _line(axes, [(span[0], span[0]), (span[1], span[1])], "#6b7280")]
    drawn += [_dots(axes, points, _colour(number)) for number, points in enumerate(groups.values())]
    return _chart([*drawn, _legend(list(groups))], f"{y_name} against {x_name}")


def roc_plot(curves: Mapping[str, Curve]) -> str:
    """Sensitivity against false positive rate; chance is the diagonal."""
    return _curves(curves, "false positive rate", "sensitivity", diagonal=True)


def precision_recall_plot(curves: Mapping[str, Curve]) -> str:
    """Precision against recall."""
    return _curves(curves, "recall", "precision", diagonal=False)


def reliability_plot(bins: Mapping[str, Sequence[Bin]]) -> str:
    """What was true against what was said, a dot for each bin that has cases; perfect is the diagonal."""
    axes = Axes((0.0, 1.0), (0.0, 1.0), "stated probability", "share that is true")
    drawn = [_scales(axes), _line(axes, [(0, 0), (1, 1)], "#6b7280")]
    for number, of_one in enumerate(bins.values()):
        points = [
            (each.mean_probability, each.share_true)
            for each in of_one
            if each.mean_probability is not None and each.share_true is not None
        ]
        drawn += [_line(axes, points, _colour(number)), _dots(axes, points, _colour(number))]
    return _chart([*drawn, _legend(list(bins))], "calibration")


def _curves(curves: Mapping[str, Curve], x_name: str, y_name: str, *, diagonal: bool) -> str:
    axes = Axes((0.0, 1.0), (0.0, 1.0), x_name, y_name)
    drawn = [_scales(axes)]
    if diagonal:
        drawn.append(_line(axes, [(0, 0), (1, 1)], "#6b7280"))
    for number, curve in enumerate(curves.values()):
        points = list(zip(curve.x.tolist(), curve.y.tolist(), strict=True))
        drawn.append(_line(axes, points, _colour(number)))
    return _chart([*drawn, _legend(list(curves))], f"{y_name} against {x_name}")


def _around(values: Sequence[float]) -> Span:
    """A span with a little room around the values."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room


def _chart(drawn: Sequence[str], title: str) -> str:
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">'
        f"<title>{escape(title)}</title>{''.join(drawn)}</svg>"
    )


def _scales(axes: Axes) -> str:
    marks = []
    for value in _ticks(axes.x):
        marks.append(_text(*axes.at(value, axes.y[0]), f"{value:.6g}", below=16))
    middle = axes.at(sum(axes.x) / 2, axes.y[0])
    return _vertical_scale(axes) + "".join(marks) + _text(*middle, axes.x_name, below=36)


def _vertical_scale(axes: Axes) -> str:
    marks = []
    for value in _ticks(axes.y):
        left, height = axes.at(axes.x[0], value)
        marks.append(_line(axes, [(axes.x[0], value), (axes.x[1], value)], "#2b3038"))
        marks.append(f'<text x="{left - 6:.1f}" y="{height + 4:.1f}" text-anchor="end">{value:.6g}</text>')
    _, middle = axes.at(axes.x[0], sum(axes.y) / 2)
    turned = f'transform="rotate(-90 12 {middle:.1f})"'
    name = f'<text x="12" y="{middle:.1f}" text-anchor="middle" {turned}>{escape(axes.y_name)}</text>'
    return "".join(marks) + name


def _ticks(span: Span) -> list[float]:
    """Round numbers inside the span, at most ten."""
    size = 10.0 ** math.floor(math.log10((span[1] - span[0]) / 2))
    step = next(size * factor for factor in (1, 2) if (span[1] - span[0]) / (size * factor) <= _MOST_TICKS)
    return [number * step for number in range(math.ceil(span[0] / step), math.floor(span[1] / step) + 1)]


def _line(axes: Axes, points: Points, colour: str) -> str:
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in (axes.at(*point) for point in points))
    return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _dots(axes: Axes, points: Points, colour: str) -> str:
    places = [axes.at(*point) for point in points]
    return "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places)


def _text(x: float, y: float, text: str, *, below: int) -> str:
    return f'<text x="{x:.1f}" y="{y + below:.1f}" text-anchor="middle">{escape(text)}</text>'


def _legend(names: Sequence[str]) -> str:
    rows = []
    for number, name in enumerate(names):
        height = _TOP + 12 + 16 * number
        rows.append(f'<circle cx="{_LEFT + 10}" cy="{height - 4}" r="4" fill="{_colour(number)}"/>')
        rows.append(f'<text x="{_LEFT + 20}" y="{height}">{escape(name)}</text>')
    return "".join(rows)


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]

"""Rows of marks over one axis, for what has names and no order, as one SVG that needs nothing else. The thin bar at a mark goes
from the lowest to the highest seed."""
import statistics
from dataclasses import dataclass

import svg

WIDTH, TOP, ROW_HEIGHT, LEFT, RIGHT = 940, 62, 20, 200, 900


@dataclass
class Mark:
    """One of the things that rows show."""
    name: str
    shape: object  # of svg.mark
    colour: str
    hollow: bool = False


@dataclass
class Row:
    name: str
    values: list  # for each Mark [percent of each seed]; empty: none


def draw(title, label, marks, groups):
    """groups: [(heading, [Row])]."""
    lines = sum(1 + len(rows) for _, rows in groups)
    bottom = TOP + lines * ROW_HEIGHT + 6
    x = svg.Scale([percent for _, rows in groups for row in rows for values in row.values for percent in values], LEFT, RIGHT)
    out = _legend(marks) + _axis(x, bottom, label)
    y = TOP + ROW_HEIGHT / 2
    for heading, rows in groups:
        out.append(svg.text(12, y + 4, heading, svg.SOFT))
        y += ROW_HEIGHT
        for row in rows:
            out.append(svg.text(LEFT - 12, y + 4, row.name, svg.INK, "end"))
            for mark, values in zip(marks, row.values):
                if values:
                    out += _mark(mark, row.name, values, x, y)
            y += ROW_HEIGHT
    return svg.document(WIDTH, bottom + 46, title, 12, out)


def _legend(marks):
    out, x = [], LEFT
    for mark in marks:
        out.append(svg.mark(mark.shape, x, 44, mark.colour, mark.name, mark.hollow))
        out.append(svg.text(x + 14, 48, mark.name, svg.INK))
        x += 40 + 7 * len(mark.name)
    return out


def _axis(x, bottom, label):
    out = []
    for value in x.ticks:
        out.append(svg.line(x(value), TOP, x(value), bottom, svg.GRID))
        out.append(svg.text(x(value), bottom + 16, f"{value:g} %", svg.SOFT, "middle"))
    out.append(svg.line(LEFT, bottom, RIGHT, bottom, svg.SOFT))
    out.append(svg.text((LEFT + RIGHT) / 2, bottom + 34, label, svg.SOFT, "middle"))
    return out


def _mark(mark, name, values, x, y):
    mean = statistics.mean(values)
    out = [svg.line(x(min(values)), y, x(max(values)), y, mark.colour)] if len(values) > 1 else []
    return out + [svg.mark(mark.shape, x(mean), y, mark.colour, f"{name}, {mark.name}: {mean:.2f} %", mark.hollow)]

"""Panels of lines through marks, as one SVG that needs nothing else. The thin bar at a mark goes from the lowest to the
highest seed. A line is labelled where there is room beside it; the legend names all."""
import math
import statistics
from dataclasses import dataclass, field

import svg

WIDTH, PANEL_HEIGHT, LEFT, RIGHT_EDGE = 940, 330, 70, 640
LETTER, LINE_HEIGHT = 6.4, 13  # about, at the document's size of letters


@dataclass
class Series:
    name: str
    shape: object  # of svg.mark
    colour: str
    points: list  # (x, [percent of each seed])
    hollow: bool = False
    joined: bool = True


@dataclass
class Level:
    """A horizontal line, and a band around it where that is above 0."""
    name: str
    colour: str
    percent: float
    band: float = 0


@dataclass
class Panel:
    label: str
    series: list
    levels: list = field(default_factory=list)
    scale: object = svg.Scale  # (values, first, last) -> an axis for x
    unit: str = " %"  # of what stands upwards


def draw(title, panels):
    height = max(len(panels) * PANEL_HEIGHT + 40, 60 + 20 * len(_legend(panels)))
    out = []
    for number, panel in enumerate(panels):
        out += _panel(panel, 36 + number * PANEL_HEIGHT)
    for number, each in enumerate(_legend(panels)):
        y = 54 + 20 * number
        if isinstance(each, Level):
            if each.band:
                out.append(_band(RIGHT_EDGE + 18, RIGHT_EDGE + 34, y - 4, y + 4, each.colour))
            out.append(svg.line(RIGHT_EDGE + 18, y, RIGHT_EDGE + 34, y, each.colour))
        else:
            out.append(svg.mark(each.shape, RIGHT_EDGE + 26, y, each.colour, each.name, each.hollow))
        out.append(svg.text(RIGHT_EDGE + 40, y + 4, each.name, svg.INK))
    return svg.document(WIDTH, height, title, LEFT, out)


def _legend(panels):
    """Levels, then series, each name once."""
    return list({each.name: each for each in [level for panel in panels for level in panel.levels] +
                 [series for panel in panels for series in panel.series]}.values())


def _panel(panel, top):
    bottom = top + PANEL_HEIGHT - 56
    x = panel.scale([at for series in panel.series for at, _ in series.points], LEFT + 22, RIGHT_EDGE - 22)
    percents = [percent for series in panel.series for _, values in series.points for percent in values]
    percents += [level.percent + sign * level.band for level in panel.levels for sign in (-1, 1)]
    y = svg.Scale(percents, bottom - 8, top + 8)
    out = []
    for level in panel.levels:
        if level.band:
            out.append(_band(LEFT, RIGHT_EDGE, y(level.percent + level.band), y(level.percent - level.band), level.colour))
        out.append(svg.line(LEFT, y(level.percent), RIGHT_EDGE, y(level.percent), level.colour))
    out += svg.axes(x, y, LEFT, RIGHT_EDGE, bottom, panel.label, panel.unit)
    room = Room(LEFT, top, RIGHT_EDGE, bottom)
    for level in panel.levels:
        room.take(LEFT, y(level.percent + level.band) - 1, RIGHT_EDGE, y(level.percent - level.band) + 1)
    places = [(series, [(x(at), y(statistics.mean(values)), values) for at, values in sorted(series.points)])
              for series in panel.series]
    for series, marks in places:
        for at, height, values in marks:
            upper, lower = min(height - svg.MARK, y(max(values))), max(height + svg.MARK, y(min(values)))
            room.take(at - svg.MARK, upper, at + svg.MARK, lower)
        if series.joined:
            for (a, b, _), (c, d, _) in zip(marks, marks[1:]):
                room.take_line(a, b, c, d)
    for series, marks in reversed(places):  # the first ones come last, above the others
        if series.joined and len(marks) > 1:
            points = " ".join(f"{at:.1f},{height:.1f}" for at, height, _ in marks)
            out.append(f'<polyline points="{points}" fill="none" stroke="{series.colour}" stroke-width="1.5"/>')
        for at, height, values in marks:
            if len(values) > 1:
                out.append(svg.line(at, y(min(values)), at, y(max(values)), series.colour))
            hover = f"{series.name}: {statistics.mean(values):.2f}{panel.unit}"
            out.append(svg.mark(series.shape, at, height, series.colour, hover, series.hollow))
    for series, marks in places:
        out += room.label(series.name, series.colour, [(at, height) for at, height, _ in marks])
    return out


def _band(left, right, top, bottom, colour):
    return (f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}" fill="{colour}" '
            'fill-opacity="0.12"/>')


class Room:
    """Which places of a panel are taken."""

    def __init__(self, left, top, right, bottom):
        self.edges, self.taken = (left, top, right, bottom), []

    def take(self, *box):
        """Left, top, right, bottom."""
        self.taken.append(box)

    def take_line(self, x1, y1, x2, y2):
        pieces = max(1, round(math.hypot(x2 - x1, y2 - y1) / 4))
        for i in range(pieces + 1):
            x, y = x1 + (x2 - x1) * i / pieces, y1 + (y2 - y1) * i / pieces
            self.take(x - 2, y - 2, x + 2, y + 2)

    def label(self, name, colour, marks):
        """The name beside the line's right end, its left end, or above or below one of its marks or pieces; nothing where
        all is taken."""
        if not marks:
            return []
        width = LETTER * len(name)
        ends = [(marks[-1], 10, 0, "start"), (marks[0], -10, 0, "end")]
        middles = [((a + c) / 2, (b + d) / 2) for (a, b), (c, d) in zip(marks, marks[1:])]
        ends += [(place, 0, dy, "middle") for place in marks[::-1] + middles[::-1] for dy in (-15, 15)]
        for (at, height), dx, dy, anchor in ends:
            left = at + dx - {"start": 0, "middle": width / 2, "end": width}[anchor]
            box = (left, height + dy - LINE_HEIGHT / 2, left + width, height + dy + LINE_HEIGHT / 2)
            if self._is_free(box):
                self.take(*box)
                return [svg.text(at + dx, height + dy + 4, name, colour, anchor)]
        return []

    def _is_free(self, box):
        left, top, right, bottom = self.edges
        if box[0] < left or box[1] < top or box[2] > right or box[3] > bottom:
            return False
        return all(box[2] <= a or box[0] >= c or box[3] <= b or box[1] >= d for a, b, c, d in self.taken)

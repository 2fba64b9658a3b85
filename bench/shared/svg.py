"""Pieces of hand-written SVG charts. They are drawn on white, so that they can be read on a dark page too."""
import math
from xml.sax.saxutils import escape

INK, SOFT, GRID, PAPER = "#222", "#666", "#e2e2e2", "#ffffff"
HYBRID, TEACHER, RESNET = "#c8501e", "#333", "#a8467f"
METHODS = {"group-norm": "#4f7cac", "bn-scale": "#3a8f6b", "random": "#8a8f98", "group-sl": "#7b5ea7", "bn-sl": "#b0903c"}
MARK = 6  # half a mark's size


def lighter(colour):
    """Half way to white; `colour` as "#4f7cac"."""
    return "#" + "".join(f"{(int(colour[i:i + 2], 16) + 255) // 2:02x}" for i in (1, 3, 5))


def document(width, height, title, left, body):
    """The whole file, with the title above and at the chart's left end."""
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
                      'font-family="Helvetica, Arial, sans-serif" font-size="12">',
                      f"<title>{escape(title)}</title>",
                      f'<rect width="{width}" height="{height}" fill="{PAPER}"/>',
                      f'<text x="{left}" y="22" font-size="14" font-weight="bold" fill="{INK}">{escape(title)}</text>',
                      *body, "</svg>"]) + "\n"


def text(x, y, words, colour, anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{escape(words)}</text>'


def line(x1, y1, x2, y2, colour):
    return f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def mark(shape, x, y, colour, hover, hollow=False):
    """shape: "disc", a number of corners, or a polygon's points around (0, 0) in halves of a mark's size."""
    fill = f'fill="{PAPER}" stroke="{colour}" stroke-width="2"' if hollow else f'fill="{colour}"'
    hover = f"<title>{escape(hover)}</title>"
    if shape == "disc":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{MARK}" {fill}>{hover}</circle>'
    if isinstance(shape, int):
        turns = [2 * math.pi * (i + 0.5) / shape for i in range(shape)]
        shape = [(0.9 * math.sin(turn), 0.9 * math.cos(turn)) for turn in turns]
    points = " ".join(f"{x + MARK * a:.1f},{y + MARK * b:.1f}" for a, b in shape)
    return f'<polygon points="{points}" {fill}>{hover}</polygon>'


DIAMOND = ((0, -1), (1, 0), (0, 1), (-1, 0))


def triangle(down=False, notched=False):
    up = -1 if down else 1
    points = [(0, -up), (1, 0.7 * up), (-1, 0.7 * up)]
    if notched:
        points.insert(2, (0, 0.1 * up))
    return tuple(points)


def axes(x, y, left, right, bottom, label, unit=" %"):
    """Lines across for the values of y, ticks below for those of x, and what the panel shows."""
    out = []
    for value in y.ticks:
        out.append(line(left, y(value), right, y(value), GRID))
        out.append(text(left - 8, y(value) + 4, f"{value:g}{unit}", SOFT, "end"))
    for value in x.ticks:
        out.append(text(x(value), bottom + 18, x.tick_text(value), SOFT, "middle"))
        out.append(line(x(value), bottom, x(value), bottom + 4, SOFT))
    out.append(line(left, bottom, right, bottom, SOFT))
    out.append(text((left + right) / 2, bottom + 36, label, SOFT, "middle"))
    return out


def short_count(value):
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


class Scale:
    """A linear axis over all values, with round ticks within its ends."""

    def __init__(self, values, first, last):
        low, high = min(values), max(values)
        room = 0.06 * (high - low) or 0.05 * abs(high) or 1
        self.low, self.high, self.first, self.last = low - room, high + room, first, last
        rough = (self.high - self.low) / 6
        size = 10 ** math.floor(math.log10(rough))
        step = next(size * n for n in (1, 2, 5, 10) if size * n >= rough)
        begin, end = math.ceil(self.low / step), math.floor(self.high / step)
        self.ticks = [round(n * step, 10) for n in range(begin, end + 1)]

    def __call__(self, value):
        return self.first + (value - self.low) / (self.high - self.low) * (self.last - self.first)

    @staticmethod
    def tick_text(value):
        return short_count(value)


class WarpedScale:
    """An axis of few values, each a tick, at the places that `warp` gives them: for values of several magnitudes."""

    def __init__(self, values, first, last, warp, tick_text):
        self.ticks, self.warp, self.tick_text = sorted(set(values)), warp, tick_text
        self.low, self.high = warp(self.ticks[0]), warp(self.ticks[-1])
        self.first, self.last = first, last

    def __call__(self, value):
        if self.high == self.low:
            return (self.first + self.last) / 2
        return self.first + (self.warp(value) - self.low) / (self.high - self.low) * (self.last - self.first)

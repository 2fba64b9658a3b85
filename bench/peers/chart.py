"""Accuracy against parameters and against MACs, as one SVG that needs nothing else."""
import math
import statistics
from xml.sax.saxutils import escape

WIDTH, PANEL_HEIGHT, LEFT, RIGHT_EDGE = 940, 300, 70, 640
COLOURS = {"group-norm": "#4f7cac", "bn-scale": "#3a8f6b", "random": "#8a8f98", "group-sl": "#7b5ea7", "bn-sl": "#b0903c"}
INK, SOFT, GRID, HYBRID, TEACHER = "#222", "#666", "#e2e2e2", "#c8501e", "#333"
# Corners of a control's mark, and its colour.
CONTROLS = {"teacher-longer": (4, TEACHER), "no-mapping": (5, HYBRID), "regression-hybrid": (6, HYBRID),
            "smaller-resnet": (4, "#a8467f"), "distilled-resnet": (5, "#a8467f")}
MARK = 6


def chart(rows, title):
    """rows: as for the table; the first is the teacher. Returns the SVG's text."""
    legend_rows = len(rows)
    height = max(2 * PANEL_HEIGHT + 40, 60 + 20 * legend_rows)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
           'font-family="Helvetica, Arial, sans-serif" font-size="12">',
           f"<title>{escape(title)}</title>",
           f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
           f'<text x="{LEFT}" y="22" font-size="14" font-weight="bold" fill="{INK}">{escape(title)}</text>']
    for number, (key, label) in enumerate((("parameters", "parameters"), ("macs", "multiply-accumulates an image"))):
        out += _panel(rows, key, label, 36 + number * PANEL_HEIGHT)
    for number, row in enumerate(rows):
        y = 54 + 20 * number
        out.append(_mark(row, RIGHT_EDGE + 26, y))
        out.append(_text(RIGHT_EDGE + 40, y + 4, legend_text(row), INK))
    return "\n".join(out + ["</svg>"]) + "\n"


def legend_text(row):
    return row["name"] + (f", {row['recipe']}" if "recipe" in row else "")


def _panel(rows, key, label, top):
    bottom = top + PANEL_HEIGHT - 56
    x = _scale([value for row in rows for value in row[key]], LEFT + 14, RIGHT_EDGE - 14)
    y = _scale([value for row in rows for value in row["test_top1_percent"]], bottom - 8, top + 8)
    out = []
    for value in y.ticks:
        out.append(f'<line x1="{LEFT}" x2="{RIGHT_EDGE}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="{GRID}"/>')
        out.append(_text(LEFT - 8, y(value) + 4, f"{value:g} %", SOFT, "end"))
    for value in x.ticks:
        out.append(_text(x(value), bottom + 18, _short_count(value), SOFT, "middle"))
        out.append(f'<line x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{bottom}" y2="{bottom + 4}" stroke="{SOFT}"/>')
    out.append(f'<line x1="{LEFT}" x2="{RIGHT_EDGE}" y1="{bottom}" y2="{bottom}" stroke="{SOFT}"/>')
    out.append(_text((LEFT + RIGHT_EDGE) / 2, bottom + 36, f"test top-1 against {label}", SOFT, "middle"))
    for row in reversed(rows):  # the teacher and the hybrid come last, above the others
        at, top1 = x(statistics.mean(row[key])), row["test_top1_percent"]
        if len(top1) > 1:
            out.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{y(min(top1)):.1f}" y2="{y(max(top1)):.1f}" '
                       f'stroke="{_colour(row)}"/>')
        out.append(_mark(row, at, y(statistics.mean(top1))))
    return out


def _colour(row):
    if "method" in row:
        return COLOURS[row["method"]]
    return HYBRID if row["name"] == "hybrid" else CONTROLS.get(row["name"], (0, TEACHER))[1]


def _mark(row, x, y):
    """Disc: hybrid; diamond: teacher; four to six corners: controls; triangles: peers, downwards where MACs were the limit, notched
    where each layer lost its share, hollow where they were trained with the hybrid's settings."""
    r, colour = MARK, _colour(row)
    hover = f"<title>{escape(legend_text(row))}: {statistics.mean(row['test_top1_percent']):.2f} %</title>"
    fill = f'fill="#ffffff" stroke="{colour}" stroke-width="2"' if row.get("recipe") == "ours" else f'fill="{colour}"'
    if row["name"] == "hybrid":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" {fill}>{hover}</circle>'
    if "method" in row:
        up = 1 if row["match"] == "params" else -1
        points = [(x, y - up * r), (x + r, y + up * 0.7 * r), (x - r, y + up * 0.7 * r)]
        if row["scope"] == "local":
            points.insert(2, (x, y + up * 0.1 * r))
    elif row["name"] == "teacher":
        points = [(x, y - r), (x + r, y), (x, y + r), (x - r, y)]
    else:
        sides = CONTROLS[row["name"]][0]
        points = [(x + 0.9 * r * math.sin(2 * math.pi * (i + 0.5) / sides),
                   y + 0.9 * r * math.cos(2 * math.pi * (i + 0.5) / sides)) for i in range(sides)]
    return f'<polygon points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in points)}" {fill}>{hover}</polygon>'


def _text(x, y, words, colour, anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{escape(words)}</text>'


def _short_count(value):
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


class _scale:
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

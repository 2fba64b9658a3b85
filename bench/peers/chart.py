"""Accuracy against parameters and against MACs, as one SVG that needs nothing else."""
import statistics

import svg

WIDTH, PANEL_HEIGHT, LEFT, RIGHT_EDGE = 940, 300, 70, 640
# Corners of a control's mark, and its colour.
CONTROLS = {"teacher-longer": (4, svg.TEACHER), "no-mapping": (5, svg.HYBRID), "regression-hybrid": (6, svg.HYBRID),
            "smaller-resnet": (4, svg.RESNET), "distilled-resnet": (5, svg.RESNET)}


def chart(rows, title):
    """rows: as for the table; the first is the teacher. Returns the SVG's text."""
    height = max(2 * PANEL_HEIGHT + 40, 60 + 20 * len(rows))
    out = []
    for number, (key, label) in enumerate((("parameters", "parameters"), ("macs", "multiply-accumulates an image"))):
        out += _panel(rows, key, label, 36 + number * PANEL_HEIGHT)
    for number, row in enumerate(rows):
        y = 54 + 20 * number
        out.append(_mark(row, RIGHT_EDGE + 26, y))
        out.append(svg.text(RIGHT_EDGE + 40, y + 4, legend_text(row), svg.INK))
    return svg.document(WIDTH, height, title, LEFT, out)


def legend_text(row):
    return row["name"] + (f", {row['recipe']}" if "recipe" in row else "")


def _panel(rows, key, label, top):
    bottom = top + PANEL_HEIGHT - 56
    x = svg.Scale([value for row in rows for value in row[key]], LEFT + 14, RIGHT_EDGE - 14)
    y = svg.Scale([value for row in rows for value in row["test_top1_percent"]], bottom - 8, top + 8)
    out = svg.axes(x, y, LEFT, RIGHT_EDGE, bottom, f"test top-1 against {label}")
    for row in reversed(rows):  # the teacher and the hybrid come last, above the others
        at, top1 = x(statistics.mean(row[key])), row["test_top1_percent"]
        if len(top1) > 1:
            out.append(svg.line(at, y(min(top1)), at, y(max(top1)), _colour(row)))
        out.append(_mark(row, at, y(statistics.mean(top1))))
    return out


def _colour(row):
    if "method" in row:
        return svg.METHODS[row["method"]]
    return svg.HYBRID if row["name"] == "hybrid" else CONTROLS.get(row["name"], (0, svg.TEACHER))[1]


def _mark(row, x, y):
    """Disc: hybrid; diamond: teacher; four to six corners: controls; triangles: peers, downwards where MACs were the limit, notched
    where each layer lost its share, hollow where they were trained with their users' settings."""
    if row["name"] == "hybrid":
        shape = "disc"
    elif "method" in row:
        shape = svg.triangle(down=row["match"] == "macs", notched=row["scope"] == "local")
    elif row["name"] == "teacher":
        shape = svg.DIAMOND
    else:
        shape = CONTROLS[row["name"]][0]
    hover = f"{legend_text(row)}: {statistics.mean(row['test_top1_percent']):.2f} %"
    return svg.mark(shape, x, y, _colour(row), hover, hollow=row.get("recipe") == "users")

"""The chart of each study."""
import math
import statistics

import dot_chart
import line_chart
import svg
from figures import HELD_OUT, TEST, is_of_whole_blocks, percent_list, speedup, top1, trained
from line_chart import Level, Panel, Series

NOT_MAPPED = "#555"
LOOKS = {"hybrid": ("disc", svg.HYBRID, False), "no-mapping": (5, NOT_MAPPED, False),
         "regression-hybrid": (6, "#b0903c", False), "smaller-resnet": (4, svg.RESNET, False),
         "distilled-resnet": (5, svg.RESNET, True)}
TITLES = {"front": "Accuracy against size", "epochs": "Accuracy against epochs of fine-tuning",
          "labels": "Accuracy against labels", "ablation": "What a mapping minimises, sees and learns from",
          "depgraph": "Change of accuracy against speed-up"}
DATASETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}


def chart(study):
    """The SVG's text."""
    if study.name == "ablation":
        return _ablation(study)
    panels = {"front": _front, "epochs": _epochs, "labels": _labels, "depgraph": _depgraph}[study.name](study)
    return line_chart.draw(title(study), panels)


def title(study):
    return f"{TITLES[study.name]}, {DATASETS.get(study.dataset, study.dataset)}"


def _levels(study):
    """Around teacher-longer a band within which a smaller network counts as good as it."""
    teacher, longer = study.find("teacher"), study.find("teacher-longer")
    band = study.value["aim"]["points"] if study.value.get("aim") else 0
    name = f"teacher-longer{f', ± {band:g} points' if band else ''}"
    return (([Level(name, svg.TEACHER, top1(longer), band)] if longer else []) +
            ([Level("teacher", "#7d9a3c", top1(teacher))] if teacher else []))


def _front(study):
    return [_front_panel(study, "parameters", "params", "parameters"),
            _front_panel(study, "macs", "macs", "multiply-accumulates an image")]


def _front_panel(study, key, match, label):
    """Of the pruned networks those that were pruned to what this panel is over."""
    series = []
    for step, (shape, colour, hollow) in LOOKS.items():
        narrower = [row for row in study.all(step) if not is_of_whole_blocks(row)]
        series.append(Series(step, shape, colour, _over(key, narrower), hollow))
        if step == "hybrid":
            series.append(Series("hybrid of whole blocks", shape, svg.lighter(colour), _over(key, study.all(step, blocks="whole"))))
    for _, kind in study.pruned():
        if kind["match"] == match:
            series.append(Series(f"{kind['method']} {kind['scope']}, pruned{trained(kind)}", _triangle(kind),
                                 svg.METHODS[kind["method"]], _over(key, study.peers(**kind)), kind["recipe"] == "users"))
    return Panel(f"test top-1 against {label}", [each for each in series if each.points], _levels(study))


def _over(key, rows):
    """Where each row's mark stands: by the mean of its seeds, or by what all of them have in common."""
    return [(statistics.mean(row[key]) if isinstance(row[key], list) else row[key], row["test_top1_percent"])
            for row in rows]


def _epochs(study):
    """Over the hybrid's epochs of fine-tuning: its control and peers have the mapping's more, and stand at the same place."""
    series = []
    for number, size in enumerate(study.sizes()):
        for step, name in (("hybrid", "mapped"), ("no-mapping", "not mapped")):
            colour = (svg.HYBRID, "#e39a6f")[number % 2] if step == "hybrid" else (NOT_MAPPED, "#9a9a9a")[number % 2]
            series.append(Series(f"{name}, size {size}", LOOKS[step][0], colour,
                                 _over("fine_tuning", study.all(step, size=size)), step != "hybrid"))
        for name, kind in study.pruned():
            colour = svg.METHODS[kind["method"]]
            series.append(Series(f"pruned by {name}, size {size}", _triangle(kind),
                                 svg.lighter(colour) if number % 2 else colour,
                                 _over("fine_tuning", study.peers(size=size, **kind))))
    series.append(Series("teacher-longer", 4, svg.TEACHER, _over("fine_tuning", study.all("teacher-longer"))))
    scale = _warped(lambda epochs: math.log2(1 + epochs), lambda epochs: f"{epochs:g}")
    return [Panel("test top-1 against epochs of fine-tuning", [each for each in series if each.points], scale=scale)]


def _triangle(kind):
    """As in bench/peers/chart.py."""
    return svg.triangle(down=kind["match"] == "macs", notched=kind["scope"] == "local")


def _labels(study):
    kinds = [("mapped", LOOKS["hybrid"][0], svg.HYBRID, {"step": "hybrid"}),
             ("not mapped", LOOKS["no-mapping"][0], NOT_MAPPED, {"step": "no-mapping"})]
    kinds += [(f"pruned by {name}", _triangle(kind), svg.METHODS[kind["method"]], kind) for name, kind in study.pruned()]
    series = []
    for name, shape, colour, at in kinds:
        for distillation in sorted(study.values("distillation", **at), reverse=True):
            taught = f"soft labels {distillation:g}" if distillation else "labels alone"
            points = _over("labelled", study.all(distillation=distillation, **at))
            series.append(Series(f"{name}, {taught}", shape, colour, points, hollow=not distillation))
    return [Panel("test top-1 against the share of the training images with labels", series,
                  scale=_warped(math.log10, lambda share: f"{100 * share:g} %"))]


def _warped(warp, tick_text):
    return lambda values, first, last: svg.WarpedScale(values, first, last, warp, tick_text)


def _ablation(study):
    """A row for each variant, and below them the controls that a group has."""
    marks = [dot_chart.Mark("held out, fine-tuned", "disc", svg.HYBRID),
             dot_chart.Mark("test, as mapped", "disc", svg.HYBRID, True),
             dot_chart.Mark("not mapped: held out, fine-tuned", 5, NOT_MAPPED)]
    groups = []
    for group in study.values("group"):
        rows = [dot_chart.Row(name, [percent_list(study.find("hybrid", variant=name), HELD_OUT),
                                     percent_list(study.find("map", variant=name), TEST), []])
                for name in dict.fromkeys(row["variant"] for row in study.all(group=group))]
        rows += [dot_chart.Row(f"no-mapping ({row['variant']})", [[], [], percent_list(row, HELD_OUT)])
                 for row in study.all("no-mapping", group=group)]
        groups.append((group, rows))
    return dot_chart.draw(title(study), "accuracy, each with its lowest and highest seed", marks, groups)


def _depgraph(study):
    """Changes in points: the teachers are different ones."""
    teacher = study.find("teacher")
    before = top1(teacher) if teacher else 0

    def changes(rows):
        return [(speedup(study, row), [percent - before for percent in percent_list(row)]) for row in rows]

    series = []
    for step in ("hybrid", "no-mapping", "teacher-longer"):
        for epochs in sorted({row["epochs"] for row in study.all(step)}) if teacher else []:
            shape, colour, _ = LOOKS.get(step, (4, svg.TEACHER, False))
            is_longer = epochs > min(row["epochs"] for row in study.all(step))
            series.append(Series(f"{step}, {epochs - teacher['epochs']:g} epochs more", shape, colour,
                                 changes(study.all(step, epochs=epochs)), hollow=is_longer))
    for name in dict.fromkeys(each["name"] for each in study.value["published"]):
        points = [(each["speedup"], [each["after"] - each["before"]])
                  for each in study.value["published"] if each["name"] == name]
        series.append(Series(f"{name}, published", svg.DIAMOND, svg.METHODS["group-norm"], points))
    return [Panel("change of test top-1, in points, against times fewer multiply-accumulates",
                  [each for each in series if each.points], [Level("each one's own teacher", "#7d9a3c", 0)], unit="")]

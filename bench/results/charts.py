"""The chart of each study that has one."""
import math
import statistics

import svg
from figures import top1
from line_chart import Level, Panel, Series, draw

BAND = 0.2  # points beside teacher-longer within which a smaller network counts as good as it
NOT_MAPPED = "#555"
LOOKS = {"hybrid": ("disc", svg.HYBRID, False), "no-mapping": (5, NOT_MAPPED, False),
         "regression-hybrid": (6, "#b0903c", False), "smaller-resnet": (4, svg.RESNET, False),
         "distilled-resnet": (5, svg.RESNET, True)}
TITLES = {"front": "Accuracy against size", "epochs": "Accuracy against epochs of fine-tuning",
          "labels": "Accuracy against labels"}
DATASETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}


def chart(study):
    """The SVG's text; None for a study without a chart."""
    panels = {"front": _front, "epochs": _epochs, "labels": _labels}.get(study.name, lambda _: None)(study)
    return panels and draw(title(study), panels)


def title(study):
    return f"{TITLES[study.name]}, {DATASETS.get(study.dataset, study.dataset)}"


def _levels(study):
    teacher, longer = study.find("teacher"), study.find("teacher-longer")
    return (([Level(f"teacher-longer, ± {BAND} points", svg.TEACHER, top1(longer), BAND)] if longer else []) +
            ([Level("teacher", "#7d9a3c", top1(teacher))] if teacher else []))


def _front(study):
    return [_front_panel(study, "parameters", "params", "parameters"),
            _front_panel(study, "macs", "macs", "multiply-accumulates an image")]


def _front_panel(study, key, match, label):
    """Of the pruned networks those that were pruned to what this panel is over."""
    series = [Series(step, *LOOKS[step][:2], _over(key, study.all(step)), LOOKS[step][2]) for step in LOOKS]
    for method in study.values("method"):
        series.append(Series(f"{method}, pruned", svg.triangle(), svg.METHODS[method],
                             _over(key, study.peers(method=method, match=match))))
    return Panel(f"test top-1 against {label}", [each for each in series if each.points], _levels(study))


def _over(key, rows):
    """Where each row's mark stands: by the mean of its seeds, or by what all of them have in common."""
    return [(statistics.mean(row[key]) if isinstance(row[key], list) else row[key], row["test_top1_percent"])
            for row in rows]


def _epochs(study):
    """Of the pruned networks those with the hybrid's parameters: they have as many epochs in all as the hybrid beside them."""
    series = []
    for number, size in enumerate(study.sizes()):
        for step, name in (("hybrid", "mapped"), ("no-mapping", "not mapped")):
            colour = (svg.HYBRID, "#e39a6f")[number % 2] if step == "hybrid" else (NOT_MAPPED, "#9a9a9a")[number % 2]
            series.append(Series(f"{name}, size {size}", LOOKS[step][0], colour,
                                 _over("fine_tuning", study.all(step, size=size)), step != "hybrid"))
    for number, size in enumerate(study.sizes()):
        for row in study.peers(size=size, match="params"):
            series.append(Series(f"{row['method']}, pruned, size {size}", svg.triangle(), svg.METHODS[row["method"]],
                                 [(row["fine_tuning"], row["test_top1_percent"])], hollow=number % 2 == 1, joined=False))
    scale = _warped(lambda epochs: math.log2(1 + epochs), lambda epochs: f"{epochs:g}")
    return [Panel("test top-1 against epochs of fine-tuning", [each for each in series if each.points], scale=scale)]


def _labels(study):
    series = []
    for step, name in (("hybrid", "mapped"), ("no-mapping", "not mapped")):
        for distillation in sorted(study.values("distillation", step), reverse=True):
            taught = f"soft labels {distillation:g}" if distillation else "labels alone"
            colour = svg.HYBRID if step == "hybrid" else NOT_MAPPED
            series.append(Series(f"{name}, {taught}", LOOKS[step][0], colour,
                                 _over("labelled", study.all(step, distillation=distillation)), hollow=not distillation))
    return [Panel("test top-1 against the share of the training images with labels", series,
                  scale=_warped(math.log10, lambda share: f"{100 * share:g} %"))]


def _warped(warp, tick_text):
    return lambda values, first, last: svg.WarpedScale(values, first, last, warp, tick_text)

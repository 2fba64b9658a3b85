"""What the figures say, in sentences that are reckoned and never typed. A control that does as well or better is always
named."""
import statistics

from figures import CONTROLS, name_of, points, top1
from tables import label_places, speedup


def verdict(study):
    """A list of paragraphs."""
    return {"front": _front, "ablation": _ablation, "epochs": _epochs, "labels": _labels,
            "depgraph": _depgraph}[study.name](study)


def _listed(words):
    words = list(words)
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _chance_words(study, one, other):
    return "within chance" if study.is_chance(one, other) else "more than chance gives"


def _versus(study, row, other, name):
    """"0.40 points behind NAME, within chance"."""
    gap = points(row, other)
    if gap == 0:
        return f"as good as {name}"
    return f"{abs(gap):.2f} points {'ahead of' if gap > 0 else 'behind'} {name}, {_chance_words(study, row, other)}"


def _front(study):
    teacher, longer = study.find("teacher"), study.find("teacher-longer")
    out = []
    for size in study.sizes():
        hybrid = study.find("hybrid", size=size)
        if not hybrid:
            continue
        where = f"At {size}"
        if teacher:
            where = f"At {100 * hybrid['parameters'][0] / teacher['parameters'][0]:.0f} % of the parameters"
        text = f"{where} the hybrid reaches {top1(hybrid):.2f} %"
        if longer:
            text += f", {_versus(study, hybrid, longer, 'teacher-longer')}."
        elif teacher:
            text += f", {_versus(study, hybrid, teacher, 'the teacher')}; teacher-longer has not been run."
        out.append(f"{text} {_front_controls(study, hybrid, size)}".strip())
    return out


def _front_controls(study, hybrid, size):
    better, as_good, behind = [], [], []
    for row in [study.find(step, size=size) for step in CONTROLS] + study.peers(size=size):
        if not row:
            continue
        gap, name, chance = points(hybrid, row), name_of(row), study.is_chance(hybrid, row)
        if gap < 0:
            better.append(f"{name} by {-gap:.2f} points ({'within chance' if chance else 'more than chance gives'})")
        elif chance:
            as_good.append(f"{name} ({gap:.2f} points behind)" if gap else name)
        else:
            behind.append(f"{name} by {gap:.2f} points")
    not_run = [step for step in CONTROLS if not study.find(step, size=size) and not study.has_no_sense(step, size)]
    not_run += [] if study.peers(size=size) else ["Torch-Pruning"]
    same = [step for step in CONTROLS if study.has_no_sense(step, size)]
    sentences = (("Better than the hybrid:", better), ("As good as it, within chance:", as_good),
                 ("Behind it by more than chance gives:", behind), ("Not run:", not_run),
                 ("Without a flow stage the hybrid itself:", same))
    return " ".join(f"{begin} {_listed(names)}." for begin, names in sentences if names)


def _ablation(study):
    """A paragraph for each group, in which the base stands beside its changes; the control stands in the base's own."""
    out = []
    for group in study.values("group"):
        sentences = []
        for step, when in (("map", "as mapped"), ("hybrid", "after the fine-tuning")):
            rows = sorted(study.variants(group, step), key=top1, reverse=True)
            if len(rows) < 2:
                continue
            sentences.append(_best_of(study, when, rows))
            control = study.find("no-mapping", group=group)
            if step == "hybrid" and control:
                best, gap = rows[0], points(rows[0], control)
                words = ("does better" if gap < 0 else "does as well" if study.is_chance(best, control) else "stays behind")
                sentences.append(f"The control no-mapping {words}: {top1(control):.2f} %, "
                                 f"{_versus(study, control, best, best['variant'])}.")
        if sentences:
            first, *others = sentences
            out.append(" ".join([f"{_upper(group)}: {first}"] + [_upper(each) for each in others]))
    return out


def _upper(text):
    return text[0].upper() + text[1:]


def _best_of(study, when, rows):
    """rows: the best one first. Where it is not of the base's size, that is said."""
    best, base = rows[0], next((row for row in rows if row["variant"] == study.value["base"]), None)
    near = [f"{row['variant']} ({points(best, row):.2f} points behind)" for row in rows[1:] if study.is_chance(best, row)]
    far = [f"{row['variant']} by {points(best, row):.2f} points" for row in rows[1:] if not study.is_chance(best, row)]
    text = f"{when} {best['variant']} is best with {top1(best):.2f} %"
    for key, word in (("parameters", "parameters"), ("macs", "multiply-accumulates")):
        if base and round(best[key][0] / base[key][0], 2) != 1:
            text += f", with {best[key][0] / base[key][0]:.2f} times the {word} of {base['variant']}"
    text += "."
    text += f" As good, within chance: {_listed(near)}." if near else ""
    text += f" Behind by more than chance gives: {_listed(far)}." if far else ""
    return text


def _mapped_against_others(study, places):
    """places: (words for where, at). Of the control and of each kind of pruning, where mapping gains more than chance gives,
    and where it does not."""
    others = [("not mapped", "No-mapping", {"step": "no-mapping"})]
    others += [(f"pruned by {name}", f"Pruning by {name}", {"step": None} | kind) for name, kind in study.pruned()]
    return " ".join(filter(None, (_mapped_against(study, places, *other) for other in others)))


def _mapped_against(study, places, behind_it, subject, which):
    gains, even, worse = [], [], []
    for words, at in places:
        mapped, other = study.find("hybrid", **at), study.find(**at, **which)
        if not mapped or not other:
            continue
        gap = points(mapped, other)
        text = f"{words} ({gap:+.2f} points)"
        (even if study.is_chance(mapped, other) else gains if gap > 0 else worse).append(text)
    sentences = []
    if gains:
        sentences.append(f"Mapped is ahead of {behind_it} by more than chance gives {_listed(gains)}.")
    if even:
        sentences.append(f"{subject} does as well, within chance, {_listed(even)}.")
    if worse:
        sentences.append(f"{subject} does better, by more than chance gives, {_listed(worse)}.")
    return " ".join(sentences)


def _epochs(study):
    out = []
    for size in study.sizes():
        at_all = sorted(row["fine_tuning"] for row in study.all("hybrid", size=size))
        text = f"Size {size}:"
        untouched = study.find("hybrid", size=size, fine_tuning=0)
        if untouched:
            text += f" as mapped the network is right for {top1(untouched):.2f} % of the test images."
        places = [(f"after {epochs} epoch{'' if epochs == 1 else 's'}", {"size": size, "fine_tuning": epochs})
                  for epochs in at_all]
        text += f" {_mapped_against_others(study, places)}"
        if text.strip() != f"Size {size}:":
            out.append(text.strip())
    return out


def _labels(study):
    out = []
    for with_teacher in (False, True):
        places = [(f"with {100 * labelled:g} % of the labels", {"labelled": labelled, "distillation": distillation})
                  for labelled, distillation in label_places(study) if (distillation > 0) == with_teacher]
        text = _mapped_against_others(study, places)
        if text:
            out.append(f"{'With' if with_teacher else 'Without'} the teacher's soft labels: {text[0].lower()}{text[1:]}")
    return out


def _depgraph(study):
    teacher, longer = study.find("teacher"), study.find("teacher-longer")
    if not teacher:
        return []
    out = []
    for size in study.sizes():
        hybrid, control = study.find("hybrid", size=size), study.find("no-mapping", size=size)
        if not hybrid:
            continue
        speed = speedup(study, hybrid)
        text = (f"With {speed:.2f} times fewer multiply-accumulates the accuracy changes by {points(hybrid, teacher):+.2f} "
                f"points ({_chance_words(study, hybrid, teacher)})")
        near = min(study.value["published"], key=lambda each: abs(each["speedup"] - speed), default=None)
        if near:
            text += (f"; published for {near['name']} at {near['speedup']:.2f} times: {near['after'] - near['before']:+.2f} "
                     f"points, from a teacher of {near['before']:.2f} %")
        text += "."
        if control:
            word = ("does better" if points(control, hybrid) > 0 else "does as well" if study.is_chance(hybrid, control)
                    else "stays behind")
            text += f" The control no-mapping {word}: {_versus(study, control, hybrid, 'the hybrid')}."
        out.append(text)
    if longer:
        out.append(f"The teacher itself changes by {points(longer, teacher):+.2f} points in as many epochs (teacher-longer).")
    mean = statistics.mean(row["epochs"] for row in study.all("hybrid")) if study.all("hybrid") else None
    if mean:
        out.append(f"Our networks are trained for {mean - teacher['epochs']:g} epochs after their teacher's {teacher['epochs']}.")
    return out

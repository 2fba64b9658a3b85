"""What the figures say, in sentences that are reckoned and never typed. A control that does as well or better is always
named."""
from figures import CONTROLS, HELD_OUT, common_seeds, is_of_whole_blocks, name_of, restricted, seeds_text, speedup, top1
from tables import as_mapped, label_places


def verdict(study):
    """A list of paragraphs."""
    return {"front": _front, "ablation": _ablation, "epochs": _epochs, "labels": _labels,
            "depgraph": _depgraph}[study.name](study)


def _listed(words):
    words = list(words)
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _chance_words(gap):
    return "within chance" if gap.is_chance else "more than chance gives"


def _over(gap):
    """Where one of the two has more seeds than they have in common."""
    return f" over {gap.over}" if gap.over else ""


def _versus(study, row, other, name):
    """"0.40 points behind NAME, within chance"."""
    gap = study.difference(row, other)
    if not gap:
        return f"without a seed in common with {name}"
    if gap.points == 0:
        return f"as good as {name}{_over(gap)}"
    return (f"{abs(gap.points):.2f} points {'ahead of' if gap.points > 0 else 'behind'} {name}{_over(gap)}, "
            f"{_chance_words(gap)}")


def _control_sentence(study, control, of, name, where=""):
    """`of`: the network that it is the control of."""
    gap, versus = study.difference(control, of), _versus(study, control, of, name)
    if not gap:
        return f"The control no-mapping is {versus}."
    does = "does better" if gap.points > 0 else "does as well" if gap.is_chance else "stays behind"
    return f"The control no-mapping {does}{where}: {top1(control):.2f} %, {versus}."


def _front(study):
    teacher, longer = study.find("teacher"), study.find("teacher-longer")
    out = []
    for size in study.sizes():
        hybrid = study.find("hybrid", size=size)
        if not hybrid:
            continue
        where = f"At {size}"
        if teacher:
            parameters, macs = (f"{100 * hybrid[key][0] / teacher[key][0]:.0f} %" for key in ("parameters", "macs"))
            where = f"At {parameters} of the parameters and {macs} of the multiply-accumulates"
        text = f"{where} the hybrid{' of whole blocks' if is_of_whole_blocks(hybrid) else ''} reaches {top1(hybrid):.2f} %"
        if longer:
            text += f", {_versus(study, hybrid, longer, 'teacher-longer')}."
        elif teacher:
            text += f", {_versus(study, hybrid, teacher, 'the teacher')}; teacher-longer has not been run."
        out.append(f"{text} {_front_controls(study, hybrid, size)}".strip())
    return out + _aim(study, teacher, longer)


def _aim(study, teacher, longer):
    """Whether a hybrid of the size that is aimed at is near enough to teacher-longer, and which of any size are."""
    aim = study.value.get("aim")
    gaps = [(row, study.difference(row, longer)) for row in study.all("hybrid")] if aim and teacher and longer else []
    hybrids = []  # (its name, points ahead of teacher-longer, whether it has the size that is aimed at)
    for row, gap in gaps:
        if gap:
            parameters, macs = (row[key][0] / teacher[key][0] for key in ("parameters", "macs"))
            hybrids.append((f"{100 * parameters:.0f} and {100 * macs:.0f} %{_over(gap)}", gap.points,
                            parameters <= aim["params"] and macs <= aim["macs"]))
    if not hybrids:
        return []

    def near(is_small):
        return _listed(name for name, points, small in hybrids if small == is_small and points >= -aim["points"])

    text = (f"The aim is to be within {aim['points']:g} points of teacher-longer with at most {100 * aim['params']:g} % of the "
            f"parameters and {100 * aim['macs']:g} % of the multiply-accumulates.")
    reached, larger = near(True), near(False)
    if reached:
        return [f"{text} It is reached with {reached}." + (f" So it is with larger ones, of {larger}." if larger else "")]
    nearest = max((each for each in hybrids if each[2]), key=lambda each: each[1], default=None)
    if nearest:
        text += f" It is missed: the nearest, of {nearest[0]}, is {-nearest[1]:.2f} points behind."
    else:
        text += " No network of that size is there."
    return [text + (f" Larger ones are within it: {larger}." if larger else " No larger one is within it either.")]


def _front_controls(study, hybrid, size):
    better, as_good, behind, apart = [], [], [], []
    for row in [study.find(step, size=size) for step in CONTROLS] + study.peers(size=size):
        if not row:
            continue
        gap, name = study.difference(hybrid, row), name_of(row)
        if not gap:
            apart.append(name)
        elif gap.points < 0:
            better.append(f"{name} by {-gap.points:.2f} points{_over(gap)} ({_chance_words(gap)})")
        elif gap.is_chance:
            as_good.append(f"{name} ({gap.points:.2f} points behind{_over(gap)})" if gap.points else f"{name}{_over(gap)}")
        else:
            behind.append(f"{name} by {gap.points:.2f} points{_over(gap)}")
    same = [step for step in CONTROLS if study.has_no_sense(step, size)]
    sentences = (("Better than the hybrid:", better), ("As good as it, within chance:", as_good),
                 ("Behind it by more than chance gives:", behind), ("Without a seed in common with it:", apart),
                 ("Not run:", study.not_run(size)), ("Without a flow stage the hybrid itself:", same))
    return " ".join(f"{begin} {_listed(names)}." for begin, names in sentences if names)


def _ablation(study):
    """A paragraph for each group, in which the base stands beside its changes. Which of them is best is said by the held-out
    images: the test images choose nothing, they only show what the choice is worth. A control stands beside the variant that
    it is the control of, and never beside the best of several."""
    out = []
    for group in study.values("group"):
        sentences = _best_of(study, study.variants(group, "hybrid"))
        for control in study.all("no-mapping", group=group):
            variant = study.find("hybrid", variant=control["variant"])
            if variant:
                sentences.append(_control_sentence(study, control, variant, control["variant"], " on the test images"))
        if sentences:
            first, *others = sentences
            out.append(" ".join([f"{_upper(group)}: {first}"] + [_upper(each) for each in others]))
    return out


def _upper(text):
    return text[0].upper() + text[1:]


def _best_of(study, rows):
    """Of several variants, over the seeds that all of them have. Where the best one is not of the base's size, that is said."""
    seeds = common_seeds(rows, HELD_OUT) if len(rows) > 1 else []
    if not seeds:
        return []
    over = "" if all(len(row["seeds"]) == len(seeds) for row in rows) else f", over {seeds_text(seeds)}"
    rows = sorted((restricted(row, seeds) for row in rows), key=lambda row: top1(row, key=HELD_OUT), reverse=True)
    best, base = rows[0], next((row for row in rows if row["variant"] == study.value["base"]), None)
    near, far = [], []
    for row in rows[1:]:
        gap = study.difference(best, row, HELD_OUT)
        if gap.is_chance:
            near.append(f"{row['variant']} ({gap.points:.2f} points behind)")
        else:
            far.append(f"{row['variant']} by {gap.points:.2f} points")
    text = f"after the fine-tuning {best['variant']} is best on the held-out images with {top1(best, key=HELD_OUT):.2f} %{over}"
    for key, word in (("parameters", "parameters"), ("macs", "multiply-accumulates")):
        if base and round(best[key][0] / base[key][0], 2) != 1:
            text += f", with {best[key][0] / base[key][0]:.2f} times the {word} of {base['variant']}"
    text += "."
    text += f" As good, within chance: {_listed(near)}." if near else ""
    text += f" Behind by more than chance gives: {_listed(far)}." if far else ""
    return [text]


def _mapped_against_others(study, places):
    """places: (words for where, at). Of all that mapped networks are held against, where mapping gains more than chance gives, and
    where it does not."""
    return " ".join(filter(None, (_mapped_against(study, places, *other) for other in study.others())))


def _mapped_against(study, places, behind_it, subject, which):
    gains, even, worse = [], [], []
    for words, at in places:
        mapped, other = study.find("hybrid", **at), study.other(which, at)
        if not mapped or not other:
            continue
        gap = study.difference(mapped, other)
        if gap:
            text = f"{words} ({gap.points:+.2f} points{_over(gap)})"
            (even if gap.is_chance else gains if gap.points > 0 else worse).append(text)
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
    mapped = as_mapped(study)
    if mapped:
        text = (f"As mapped, without a label and without fine-tuning, the network is right for {top1(mapped):.2f} % of the test "
                "images.")
        losses = []
        for labelled, distillation in label_places(study):
            tuned = study.find("hybrid", labelled=labelled, distillation=distillation)
            gap = study.difference(tuned, mapped)
            if gap and gap.points < 0 and not gap.is_chance:
                losses.append(f"with {100 * labelled:g} % of the labels and {'' if distillation else 'no '}soft ones "
                              f"({gap.points:+.2f} points{_over(gap)})")
        if losses:
            text += f" Fine-tuning takes something away, more than chance gives, {_listed(losses)}."
        out.append(text)
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
    for hybrid in sorted(study.all("hybrid"), key=lambda row: (study.sizes().index(row["size"]), row["epochs"])):
        control = study.find("no-mapping", size=hybrid["size"], fine_tuning=hybrid["fine_tuning"])
        speed, change = speedup(study, hybrid), study.difference(hybrid, teacher)
        text = (f"With {speed:.2f} times fewer multiply-accumulates, after {hybrid['epochs'] - teacher['epochs']:g} epochs more than its "
                f"teacher's {teacher['epochs']}, the accuracy changes by {change.points:+.2f} points ({_chance_words(change)})")
        near = min(study.value["published"], key=lambda each: abs(each["speedup"] - speed), default=None)
        if near:
            text += (f"; published for {near['name']} at {near['speedup']:.2f} times: {near['after'] - near['before']:+.2f} "
                     f"points, from a teacher of {near['before']:.2f} %")
        text += "."
        if control:
            text += f" {_control_sentence(study, control, hybrid, 'the hybrid')}"
        out.append(text)
    if longer:
        change = study.difference(longer, teacher).points
        out.append(f"The teacher itself changes by {change:+.2f} points in {longer['epochs'] - teacher['epochs']:g} epochs more "
                   "(teacher-longer).")
    return out

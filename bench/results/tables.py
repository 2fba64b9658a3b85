"""The table of each study, in Markdown."""
import statistics

from figures import CONTROLS, HELD_OUT, TEST, name_of, percent_list, speedup, top1
from text_table import accuracy_text, count_text, markdown_table, share_text


def table(study):
    header, right, body = {"front": _front, "ablation": _ablation, "epochs": _epochs, "labels": _labels,
                           "depgraph": _depgraph}[study.name](study)
    return markdown_table(header, right, body)


def _accuracy(row, key=TEST):
    found = percent_list(row, key)
    return accuracy_text(found) if found else "-"


def _seeds(*rows):
    """How many; where rows differ, of each."""
    counts = [len(row["seeds"]) for row in rows if row]
    return str(counts[0]) if len(set(counts)) == 1 else ", ".join(map(str, counts))


def _front(study):
    teacher = study.find("teacher")

    def line(row):
        def count(key):
            mean = statistics.mean(row[key])
            return [count_text(mean), share_text(mean, teacher[key][0]) if teacher else "-"]

        shown = row.get("size", "") if row["step"] != "teacher-longer" else ""
        return ([shown, name_of(row), row["by"], str(row["epochs"])] + count("parameters") + count("macs") +
                [_accuracy(study.find("map", size=row["size"])) if row["step"] == "hybrid" else "-", _accuracy(row),
                 str(len(row["seeds"]))])

    rows = [row for row in (teacher, study.find("teacher-longer")) if row]
    body = [line(row) for row in rows]
    for size in study.sizes():
        hybrid = study.find("hybrid", size=size)
        body += [line(hybrid)] if hybrid else []
        not_run = study.not_run(size) if hybrid else []
        for step in CONTROLS:
            row = study.find(step, size=size)
            if row:
                body.append(line(row))
            elif step in not_run:
                body.append([size, step, "mfi"] + 6 * ["-"] + ["not run", "-"])
        body += [line(row) for row in sorted(study.peers(size=size), key=lambda row: row["match"] != "params")]
    return (("size", "network", "made by", "epochs", "parameters", "share", "MACs", "share", "as mapped", "test top-1",
             "seeds"), (False, False, False) + 8 * (True,), body)


def _shares(study, row):
    """Of the teacher's parameters and MACs."""
    teacher = study.find("teacher")
    return [share_text(statistics.mean(row[key]), teacher[key][0]) if teacher else "-" for key in ("parameters", "macs")]


def _ablation(study):
    header = ("variant", "what is different", "parameters", "MACs", "held out, fine-tuned", "test, fine-tuned", "test, as mapped",
              "mapping, seconds", "seeds")
    body = []
    for group in study.values("group"):
        body.append([f"**{group}**"] + (len(header) - 1) * [""])
        for variant in dict.fromkeys(row["variant"] for row in study.all(group=group)):
            mapped, tuned = study.find("map", variant=variant), study.find("hybrid", variant=variant)
            seconds = _comparable_seconds(study, mapped)
            row = mapped or tuned
            body.append([variant, row["about"], *_shares(study, row), _accuracy(tuned, HELD_OUT), _accuracy(tuned),
                         _accuracy(mapped), f"{statistics.mean(seconds):.0f}" if seconds else "-", _seeds(mapped, tuned)])
        for control in study.all("no-mapping", group=group):
            about = f"the control: {control['variant']}, not mapped but fine-tuned for the mapping's epochs too"
            body.append(["no-mapping", about, *_shares(study, control), _accuracy(control, HELD_OUT), _accuracy(control),
                         "-", "-", _seeds(control)])
    return (header, (False, False) + 7 * (True,), body)


def _comparable_seconds(study, mapped):
    """Of a mapping on the machine and the threads that the base was mapped with; else none."""
    base = study.find("map", variant=study.value["base"]) or mapped
    if not mapped or set(mapped["machines"]) != set(base["machines"]):
        return []
    return [each for each in mapped["seconds"] if each is not None]


def _mapped_header(study):
    return ("mapped", *(word for name, _, _ in study.others() for word in (name, "difference")), "seeds")


def _mapped_and_others(study, at):
    """Mapped; what it is held against, each with how far mapped is above it; seeds."""
    mapped = study.find("hybrid", **at)
    others = [study.other(which, at) for _, _, which in study.others()]
    cells = [_accuracy(mapped)]
    for other in others:
        cells += [_accuracy(other), _difference_text(study, mapped, other)]
    return cells + [_seeds(mapped, *others)]


def _difference_text(study, one, other):
    """"+6.00", with what has to be known of it: "(chance, seed 0)"."""
    found = study.difference(one, other) if one and other else None
    if not found:
        return "-"
    known = ", ".join(filter(None, ("chance" if found.is_chance else "", found.over)))
    return f"{found.points:+.2f}{f' ({known})' if known else ''}"


def _epochs(study):
    body = [[size, str(epochs)] + _mapped_and_others(study, {"size": size, "fine_tuning": epochs})
            for size in study.sizes() for epochs in sorted(study.values("fine_tuning", "hybrid"))
            if study.find("hybrid", size=size, fine_tuning=epochs)]
    header = ("size", "epochs of fine-tuning") + _mapped_header(study)
    return (header, (False,) + (len(header) - 1) * (True,), body)


def label_places(study):
    """Where the study of labels has a hybrid: as few labels as there are first, without distillation first."""
    return sorted(((row["labelled"], row["distillation"]) for row in study.all("hybrid")))


def as_mapped(study):
    """Before any fine-tuning: the same mapping stands in every run, as it sees no labels. Of those rows the one with most seeds."""
    return max(study.all("map"), key=lambda row: len(row["seeds"]), default=None)


def _labels(study):
    mapped = as_mapped(study)
    header = ("labelled images", "distillation", "epochs of fine-tuning") + _mapped_header(study)
    body = [["none", "-", "0", _accuracy(mapped)] + (len(header) - 5) * ["-"] + [_seeds(mapped)]] if mapped else []
    for labelled, distillation in label_places(study):
        at = {"labelled": labelled, "distillation": distillation}
        body.append([f"{100 * labelled:g} %", f"{distillation:g}", str(study.find("hybrid", **at)["fine_tuning"])] +
                    _mapped_and_others(study, at))
    return (header, len(header) * (True,), body)


def _depgraph(study):
    teacher = study.find("teacher")
    rows = [study.find("teacher-longer")] + [row for size in study.sizes() for epochs in study.values("fine_tuning", size=size)
                                             for row in [study.find(step, size=size, fine_tuning=epochs)
                                                         for step in ("hybrid", "no-mapping")]]
    body = [[row["step"], "mfi", f"{speedup(study, row):.2f}", f"{row['epochs'] - teacher['epochs']:g}",
             f"{top1(teacher):.2f} %", _accuracy(row), f"{study.difference(row, teacher).points:+.2f}", str(len(row["seeds"]))]
            for row in rows if row and teacher]
    for each in study.value["published"]:
        body.append([each["name"], "published", f"{each['speedup']:.2f}", "-", f"{each['before']:.2f} %", f"{each['after']:.2f} %",
                     f"{each['after'] - each['before']:+.2f}", "-"])
    return (("network", "by", "times fewer MACs", "epochs more", "teacher", "test top-1", "change", "seeds"),
            (False, False) + 6 * (True,), body)

"""What stands between a study's markers in a page of docs/, and putting it there."""
import re
import textwrap

from charts import chart, title
from errors import StudyError
from figures import HELD_OUT, percents, top1
from plan import TABLES
from tables import table
from verdicts import verdict

LINE = 125  # letters


def marker(name):
    return f"<!-- {name}: made by bench/results/report.py -->"


def end_marker(name):
    return f"<!-- end of {name} -->"


def section_name(study):
    return f"{study.name}-{study.dataset}"


def chart_file(study):
    return f"{study.dataset}-{study.name}.svg"


def section(study):
    parts = [f"![{title(study)}](results/{chart_file(study)})", table(study).rstrip(), f"    {command(study)}", _fill(note(study))]
    if study.value.get("network"):
        parts.append(_fill(f"The network: {study.value['network']}."))
    elif study.value["chosen"]:
        chosen = [f"{size}: {', '.join(kept['chosen']['stages'])}" for size, kept in study.value["chosen"].items()]
        chosen += [f"{size}: the same as {other}" for size, other in study.value["same_network"].items()]
        parts.append(_fill(f"What the search has chosen, stage by stage: {'; '.join(chosen)}."))
    parts += [_fill(text) for text in verdict(study)]
    if study.value["missing"]:
        parts.append(_fill(missing(study)))
    return "\n\n".join(parts)


def command(study):
    seeds = ",".join(map(str, study.seeds()))
    return (f"bench/results/study.py build/release/bin/mfi {' '.join(TABLES[study.name])} --dataset {study.dataset} "
            f"--seeds {seeds} --data ~/data")


def machines_text(machines):
    """"NAME, 1 or 2 threads, INSTRUCTIONS": each machine once, with all the numbers of threads that runs had on it."""
    threads = {}
    for machine in machines:
        name, count, rest = re.fullmatch(r"(.*?), (\d+) threads?(.*)", machine).groups()
        threads.setdefault((name, rest), set()).add(int(count))
    return "; ".join(f"{name}, {' or '.join(map(str, sorted(counts)))} thread{'' if counts == {1} else 's'}{rest}"
                     for (name, rest), counts in threads.items())


def note(study):
    """Images, seeds, machine and version, and what chance may give."""
    def distinct(key, by):
        return list(dict.fromkeys(value for row in study.rows if row["by"] == by for value in row[key]))

    images = " or ".join(f"{count:,}" for count in study.value["training_images"])
    seeds = study.seeds()
    seeds = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))} (mean, lowest to highest)"
    text = f"{images} training images, {study.test_images:,} test images"
    text += f", {study.held_out_images:,} held out" if study.held_out_images else ""
    text += f"; {seeds}; {machines_text(distinct('machines', 'mfi'))}; "
    text += "; ".join(distinct("versions", "mfi") + distinct("versions", "Torch-Pruning"))
    shown = [row for row in study.rows if row["step"] != "map" or study.name in ("front", "ablation", "labels")]
    chances = sorted((study.chance(row), top1(row)) for row in shown)
    (least, least_at), (most, most_at) = chances[0], chances[-1]
    below = f"{most:.1f} points"
    if f"{least:.1f}" != below.split()[0]:
        below = f"{least:.1f} points (near {least_at:.0f} %) to {below} (near {most_at:.0f} %)"
    chances = [study.chance(row, HELD_OUT) for row in study.rows if percents(row, HELD_OUT)]
    held_out = f", below {max(chances):.1f} points of the held-out ones" if chances else ""
    return (f"{text}. A difference below {below} may be chance of the test images{held_out}; that of the training is what "
            "several seeds show.")


def missing(study):
    count = len(study.value["missing"])
    return (f"{count} of the {study.value['runs']} runs that `experiments.toml` asks for here {'is' if count == 1 else 'are'} not "
            "done yet; `study.py` with `--list` names them.")


def replace_between(page, text, name, content):
    """`text` with `content` between the markers. `page` is for messages."""
    begin, end = marker(name), end_marker(name)
    for each in (begin, end):
        if text.count(each) != 1:
            raise StudyError(f"{page}: {'has no' if each not in text else 'has more than one'} line '{each}'; put the lines "
                             f"'{begin}' and '{end}' once, one after the other, where this table belongs")
    before, rest = text.split(begin)
    if end not in rest:
        raise StudyError(f"{page}: '{end}' comes before '{begin}'")
    return f"{before}{begin}\n\n{content}\n\n{end}{rest.split(end)[1]}"


def _fill(text):
    return textwrap.fill(text, LINE, break_on_hyphens=False, break_long_words=False)

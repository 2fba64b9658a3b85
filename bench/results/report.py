#!/usr/bin/env python3
"""Makes the tables, charts and sentences of docs/results.md and docs/method.md from what study.py has left.

usage: report.py OUT [--keep] [--docs DIR] [--seeds N,...]
       report.py --from docs/results [--docs DIR]

OUT is study.py's folder. What its runs say is written down as plain figures, docs/results/DATASET-STUDY.json; from these come
the charts beside them and all that stands between the markers of the pages. With --from the figures are taken as they are,
without any run. A study without runs leaves its table as it is; of one that is begun, it prints what is missing. With --keep
figures stay whose runs are gone, as when the rest is made on another machine: those of the same teacher, networks and settings.
"""
import argparse
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # the source tree may be somebody else's
sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "shared"))
from charts import chart  # noqa: E402
from collect import collect  # noqa: E402
from errors import StudyError  # noqa: E402
from figures import Study  # noqa: E402
from pages import chart_file, replace_between, section, section_name  # noqa: E402
from plan import TABLES, Plan, read_experiments  # noqa: E402
from run_files import read_json  # noqa: E402
from study import DATASETS, seeds  # noqa: E402
from tasks import SOURCE  # noqa: E402
from whole_file import replace_file, write_json  # noqa: E402

PAGES = {"ablation": "method.md"}  # the others' tables stand in results.md


def parse(words=None):
    parser = argparse.ArgumentParser(prog="report.py", description="tables and charts of docs/results.md")
    parser.add_argument("out", nargs="?", type=Path, metavar="OUT", help="where study.py has put its runs")
    parser.add_argument("--from", dest="figures", type=Path, metavar="DIR",
                        help="take the figures of this folder, instead of runs")
    parser.add_argument("--docs", type=Path, default=SOURCE / "docs", metavar="DIR",
                        help="the pages' folder; default: the project's docs")
    parser.add_argument("--keep", action="store_true",
                        help="keep figures of runs that are gone, where teacher, network and settings are the same")
    parser.add_argument("--seeds", type=seeds, metavar="N,...", help="default: those of experiments.toml")
    args = parser.parse_args(words)
    if (args.out is None) == (args.figures is None):
        parser.error("give OUT, the folder of study.py, or --from with a folder of figures")
    if args.keep and args.figures:
        parser.error("--keep is for OUT; --from takes all figures as they are")
    return args


def of_runs(out, seeds, figures, keep):
    """figures: the folder of those that report.py wrote earlier. keep: whether they stay where their runs are gone."""
    if not out.is_dir():
        raise StudyError(f"{out}: there is no such folder; expected the one that study.py has put its runs in")
    plan = Plan(out, read_experiments(), seeds)
    for table in TABLES:
        usual = plan.datasets(table)
        for dataset in usual if table == "depgraph" else DATASETS:
            own_first = [table, *(each for each in TABLES if each != table)]
            earlier, *others = (read_json(figures / figures_file(each, dataset)) for each in own_first)
            value = collect(plan, table, dataset, [each for each in (earlier, *others) if each] if keep else ())
            if value and (dataset in usual or _has_own_runs(value)):
                dropped = len(_figures_in(earlier) - _figures_in(value))
                if dropped:
                    why = ("of another teacher, recipe, network or setting, or asked for no more" if keep else
                           "their runs are not there; --keep keeps them where teacher, network and settings are the same")
                    print(f"{table}-{dataset}: {dropped} earlier figure{'' if dropped == 1 else 's'} dropped: {why}")
                yield Study(value)


def _figures_in(value):
    return {(row["run"], row["step"], seed) for row in (value or {}).get("figures", ()) for seed in row["seeds"]}


def _has_own_runs(value):
    """Whether some of its figures come from runs of its own, and not all from those that it shares with the front."""
    return any(f"/{value['study']}/" in row["run"] for row in value["figures"])


def figures_file(table, dataset):
    return f"{dataset}-{table}.json"


def of_figures(folder):
    if not folder.is_dir():
        raise StudyError(f"{folder}: there is no such folder")
    for file in sorted(folder.glob("*.json")):
        value = read_json(file)
        if not isinstance(value, dict) or value.get("study") not in TABLES:
            raise StudyError(f"{file}: no figures of a study; expected what report.py writes")
        yield Study(value)


def write(studies, docs, with_figures):
    """All pages are made before any is written: where a marker is missing, nothing is changed."""
    pages, charts = {}, {}
    for study in studies:
        file = docs / PAGES.get(study.name, "results.md")
        try:
            text = pages.get(file) or file.read_text()
        except OSError as error:
            raise StudyError(f"{file}: {error.strerror}")
        pages[file] = replace_between(file, text, section_name(study), section(study))
        charts[docs / "results" / chart_file(study)] = chart(study)
    (docs / "results").mkdir(exist_ok=True)
    if with_figures:
        for study in studies:
            write_json(docs / "results" / figures_file(study.name, study.dataset), study.value)
    for file, text in {**charts, **pages}.items():
        replace_file(file, text)


def main():
    args = parse()
    try:
        studies = list(of_runs(args.out, args.seeds, args.docs / "results", args.keep) if args.out else
                       of_figures(args.figures))
        write(studies, args.docs, with_figures=args.out is not None)
    except StudyError as error:
        print(f"report.py: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    for study in studies:
        missing = study.value["missing"]
        print(f"{section_name(study)}: {len(study.rows)} networks" +
              (f"; not done yet, of {study.value['runs']} runs:" if missing else ""))
        for name in missing:
            print(f"  {name}")
    if not studies:
        print("no runs to report; the pages are as they were")


if __name__ == "__main__":
    main()

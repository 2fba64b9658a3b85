#!/usr/bin/env python3
"""Carries out the trainings behind docs/results.md and docs/method.md.

usage: study.py MFI STUDY... [flags]       (docs/results.md; the studies themselves are in experiments.toml)

MFI is the program. The studies are carried out in the order given, each run after the other in a process of its own, or --jobs
of them at a time; what is done is left alone, what was interrupted goes on. `front` and those after it build on `teacher` and
`search`. --list shows every command and how far it is, so that each can be typed by hand. report.py makes tables and charts of
what is there.
"""
import argparse
import fnmatch
import os
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # the source tree may be somebody else's
sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "shared"))
from carry_out import INTERRUPTED, carry_out, options_of  # noqa: E402
from errors import StudyError  # noqa: E402
from plan import STUDIES, Plan, read_experiments  # noqa: E402
from tasks import Options, SearchTask, command_text  # noqa: E402

DATASETS = ("cifar10", "cifar100")


def seeds(text):
    if not all(word.isdigit() for word in text.split(",")):
        raise argparse.ArgumentTypeError(f"'{text}', expected whole numbers with commas between them")
    return [int(word) for word in text.split(",")]


def parse(words=None):
    def at_least_one(text):
        if not text.isdigit() or int(text) == 0:
            raise argparse.ArgumentTypeError(f"'{text}', expected a whole number from 1")
        return int(text)

    parser = argparse.ArgumentParser(prog="study.py", description="the trainings behind docs/results.md")
    parser.add_argument("mfi", help="the mfi program")
    parser.add_argument("studies", nargs="+", choices=STUDIES, metavar="STUDY", help=f"of {', '.join(STUDIES)}")
    parser.add_argument("--data", default=os.environ.get("MFI_DATA"), metavar="DIR",
                        help="folder of the data; default: MFI_DATA")
    parser.add_argument("--out", type=Path, default=Path("runs/results"), metavar="DIR",
                        help="where the runs go; default: runs/results")
    parser.add_argument("--list", action="store_true", help="print each run's command and how far it is; run nothing")
    parser.add_argument("--only", metavar="PATTERN", help="runs alone whose name holds this; * and ? stand for other letters")
    parser.add_argument("--skip", metavar="PATTERN", help="no runs whose name holds this: peers, where there is no PyTorch")
    parser.add_argument("--seeds", type=seeds, metavar="N,...", help="default: those of experiments.toml")
    parser.add_argument("--dataset", choices=[*DATASETS, "both"],
                        help="default: for each study those of experiments.toml")
    parser.add_argument("--threads", type=at_least_one, metavar="N", help="compute threads; default: the programs' own choice")
    parser.add_argument("--jobs", type=at_least_one, default=1, metavar="N",
                        help="runs at a time, which share the cores if --threads says nothing else; default: 1")
    parser.add_argument("--yes", action="store_true", help="replace what was trained with other settings")
    return parser.parse_args(words)


def planned(args, experiments):
    """All tasks that are asked for, each once, in order."""
    asked = None if args.dataset is None else list(DATASETS) if args.dataset == "both" else [args.dataset]
    plan = Plan(args.out, experiments, args.seeds)
    tasks = {}  # by name
    for study in args.studies:
        for dataset in plan.datasets(study, asked):
            for task in plan.tasks(study, dataset):
                _add(tasks, task)
    if args.only:
        tasks = {name: task for name, task in tasks.items() if _holds(name, args.only)}
        if not tasks:
            raise StudyError(f"--only {args.only}: no run of {', '.join(args.studies)} has such a name; --list shows them")
    if not tasks:
        raise StudyError(f"{' '.join(args.studies)}: no run with seed{'' if len(plan.seeds) == 1 else 's'} "
                         f"{', '.join(map(str, plan.seeds))}; experiments.toml says which seeds a study has")
    return [task for name, task in tasks.items() if not args.skip or not _holds(name, args.skip)]


def in_parts(args, experiments):
    """What is planned up to the last search, then what is planned behind it: that depends on the networks which were chosen."""
    tasks = planned(args, experiments)
    searches = [number for number, task in enumerate(tasks) if isinstance(task, SearchTask)]
    first = tasks[:searches[-1] + 1] if searches else []
    yield first
    made = {task.name for task in first}
    yield [task for task in planned(args, experiments) if task.name not in made]


def _holds(name, pattern):
    return fnmatch.fnmatchcase(name, f"*{pattern}*")


def _add(tasks, task):
    """Two studies may want the same run or its peers, one with more controls, or more of them: that one is made."""
    there = tasks.get(task.name)
    if there is None or set(getattr(task, "steps", ())) > set(getattr(there, "steps", ())):
        tasks[task.name] = task


def list_tasks(tasks, options, jobs):
    counts = {}
    for task in tasks:
        state = task.state()
        counts[state.word] = counts.get(state.word, 0) + 1
        print(f"{task.name}: {state}")
        for words in task.commands(options_of(task, options, jobs)):
            print(f"    {command_text(words)}")
    print(f"{len(tasks)} runs: {', '.join(f'{count} {word}' for word, count in counts.items())}")


def main():
    args = parse()
    options = Options(args.mfi, args.data, args.threads, args.yes)
    try:
        experiments = read_experiments()
        if args.list:
            list_tasks(planned(args, experiments), options, args.jobs)
            sys.stdout.flush()
        else:
            carry_out(in_parts(args, experiments), options, args.jobs)
    except StudyError as error:
        print(f"study.py: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # --list into a program that has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""mfi against PyTorch, step by step on this machine, gathered in a file.

usage: compare.py MFI RESULTS [--only CASE,...] [--rounds 5] [--seconds 2] [--threads 2] [--python python3]
                  [--baseline bench/pytorch_baseline.py] [--quick] [--fresh]

MFI       the program, build/release/bin/mfi
RESULTS   a JSON file; what it holds already is kept, and what is missing of the wanted rounds is added. A case
          that was measured with another build of MFI, another BASELINE or other --seconds is measured anew.
CASE      such as train-16-bf16: work, width and precision. loader-...: mfi alone, on images from its Loader.
          A name that is not there is answered with all that are
PYTHON    one with torch, and a C++ compiler beside it: torch.compile needs it

In a round the sides (mfi, PyTorch eager, PyTorch compiled) run one after the other, each in a process of its own and
each in turn first, so that a machine that others use too disturbs them alike. After the last, mfi runs once more with
--profile, which shows where its time goes. bench/report.py makes tables of the file.
"""
import argparse
import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys

MODES = ("eager", "compile")
FORMAT = "mfi-bench-1"
HERE = os.path.dirname(os.path.abspath(__file__))


def all_cases():
    cases = {f"{work}-{width}-{precision}": (work, width, precision, False)
             for precision in ("bf16", "fp32") for width in (16, 64) for work in ("train", "eval", "map")}
    # The Loader has the least time where steps are the shortest.
    for work, width in (("train", 16), ("map", 16), ("train", 64)):
        cases[f"loader-{work}-{width}-bf16"] = (work, width, "bf16", True)
    return cases


QUICK = ("train-16-bf16", "eval-16-bf16", "map-16-bf16", "loader-train-16-bf16")


def fail(message):
    sys.exit(f"compare.py: {message}")


def output_of(command, environment=None):
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    except OSError as error:
        fail(f"{shlex.join(command)}: {error.strerror}")
    if done.returncode != 0:
        fail(f"{shlex.join(command)}: exit code {done.returncode}\n{done.stderr.strip()}")
    return done.stdout


def measure(command):
    text = output_of(command)
    try:
        line = json.loads(text.splitlines()[-1])
        line["images_per_s"], line["peak_memory_bytes"], line["minor_faults_per_step"]
        return line
    except (IndexError, KeyError, ValueError):
        fail(f"{shlex.join(command)}: expected a line of JSON with images_per_s, peak_memory_bytes and "
             f"minor_faults_per_step, got {text.strip()!r}")


def profile_of(command):
    text = output_of([*command, "--profile"])
    _, _, table = text.partition("\n\n")
    if not table.startswith("operation"):
        fail(f"{shlex.join(command)} --profile: expected a table of operations after an empty line, got {text!r}")
    return table


def describe_machine(args):
    version = output_of([args.mfi, "version"], os.environ | {"OMP_NUM_THREADS": args.threads}).splitlines()
    found = [line.split(":", 1)[1].strip() for line in version if line.startswith("machine:")]
    if not found:
        fail(f"{args.mfi} version: expected a line 'machine: ...', got {version}")
    ask = "import platform, torch; print(torch.__version__, platform.python_version())"
    torch, python = output_of([args.python, "-c", ask]).split()
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        system = platform.system()
    return {"machine": found[0], "cores": os.cpu_count(), "system": system, "mfi": version[0], "torch": torch,
            "python": python}


def digest(*files):
    total = hashlib.sha256()
    for name in files:
        try:
            with open(name, "rb") as file:
                total.update(file.read())
        except OSError as error:
            fail(f"{name}: {error.strerror}")
    return total.hexdigest()[:12]


def load(path, machine, fresh):
    empty = {"format": FORMAT, "machine": machine, "cases": {}}
    if fresh or not os.path.exists(path):
        return empty
    try:
        with open(path) as file:
            results = json.load(file)
        if results["format"] != FORMAT:
            fail(f"{path}: format {results['format']!r}, expected {FORMAT!r}; --fresh begins anew")
        found = results["machine"]
    except (KeyError, TypeError, ValueError) as error:
        fail(f"{path}: not a file of results ({error!r}); --fresh begins anew")
    if found != machine:
        fail(f"{path} was measured with {found}, this is {machine}; take another file, or begin anew with --fresh")
    return results


def save(path, results):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path + ".part", "w") as file:
        json.dump(results, file, indent=1)
    os.replace(path + ".part", path)


def commands_of(case, args):
    """What runs each side; and the same as one would type it, in a checkout."""
    work, width, precision, loader = case
    common = [work, "--width", str(width), "--precision", precision, "--threads", args.threads,
              "--seconds", args.seconds]
    sides = {"mfi": [args.mfi, "bench", *common] + (["--loader"] if loader else [])}
    if not loader:
        for mode in MODES:
            sides[mode] = [args.python, args.baseline, *common, "--mode", mode]
    shown = {side: shlex.join(["mfi", *command[1:]] if side == "mfi" else
                              ["python3", "bench/" + os.path.basename(args.baseline), *command[2:]])
             for side, command in sides.items()}
    return sides, shown


def main():
    cases = all_cases()
    parser = argparse.ArgumentParser(description="mfi against PyTorch, alternating", allow_abbrev=False)
    parser.add_argument("mfi")
    parser.add_argument("results")
    parser.add_argument("--only", help="cases, separated by commas")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", help="each side measures for, in a round")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--baseline", default=os.path.join(HERE, "pytorch_baseline.py"))
    parser.add_argument("--quick", action="store_true", help="one short round of a few cases, to see that it all works")
    parser.add_argument("--fresh", action="store_true", help="forget what RESULTS holds")
    args = parser.parse_args()
    wanted = args.only.split(",") if args.only else QUICK if args.quick else list(cases)
    for name in wanted:
        if name not in cases:
            fail(f"no case {name!r}; there are {', '.join(cases)}")
    args.rounds = args.rounds or (1 if args.quick else 5)
    args.seconds = args.seconds or ("1" if args.quick else "2")

    machine = describe_machine(args)
    results = load(args.results, machine, args.fresh)
    build = digest(args.mfi, args.baseline)
    for number, name in enumerate(wanted):
        sides, shown = commands_of(cases[name], args)
        found = results["cases"].get(name)
        if not found or found["build"] != build or found["commands"] != shown:
            work, width, precision, _ = cases[name]
            found = {"work": work, "width": width, "precision": precision, "build": build, "commands": shown,
                     "rounds": []}
        while len(found["rounds"]) < args.rounds:
            first = len(found["rounds"]) % len(sides)
            order = list(sides)[first:] + list(sides)[:first]
            lines = {side: measure(sides[side]) for side in order}
            found["rounds"].append({side: lines[side] for side in sides})
            results["cases"][name] = found
            save(args.results, results)
            print(f"{number + 1}/{len(wanted)} {name}, round {len(found['rounds'])} of {args.rounds}: images/s "
                  + ", ".join(f"{side} {lines[side]['images_per_s']}" for side in sides), flush=True)
        if "profile" not in found and len(sides) > 1:
            found["profile"] = profile_of(sides["mfi"])
            save(args.results, results)
    # In the order of the list, however they came in.
    results["cases"] = {name: results["cases"][name] for name in cases if name in results["cases"]}
    save(args.results, results)


if __name__ == "__main__":
    main()

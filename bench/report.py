#!/usr/bin/env python3
"""Write docs/benchmarks.md from what bench/compare.py and ops_bench measured.

usage: report.py RESULTS [--ops OPS] [--out FILE]

RESULTS   what bench/compare.py gathered
OPS       what ops_bench wrote with --benchmark_out; without it there are no tables of operations
FILE      default: standard output
"""
import argparse
import json
import os
import statistics
import sys
import textwrap

MODES = ("eager", "compile")
WORK = {"train": "training step", "eval": "inference, folded network", "map": "mapping step"}
FP32_TARGET = 1.2
BF16_TARGETS = {("train", 16): 1.6, ("train", 64): 1.5, ("eval", 16): 2.5, ("eval", 64): 1.8,
                ("map", 16): 3.0, ("map", 64): 3.0}
WAITING_TARGET = 3  # per cent
ROUNDS = 5  # fewer are no measurement


def target_of(case):
    return FP32_TARGET if case["precision"] == "fp32" else BF16_TARGETS.get((case["work"], case["width"]))


def values(case, side, field):
    return [line[side][field] for line in case["rounds"]]


def median(case, side, field):
    return statistics.median(values(case, side, field))


def ratio(case):
    """mfi's median images per second over that of the PyTorch mode with the better median, and the least and the
    greatest ratio of these two within one round."""
    medians = {mode: median(case, mode, "images_per_s") for mode in MODES}
    best = max(medians, key=medians.get)
    pairs = zip(values(case, "mfi", "images_per_s"), values(case, best, "images_per_s"))
    rounds = [ours / theirs for ours, theirs in pairs]
    return median(case, "mfi", "images_per_s") / medians[best], min(rounds), max(rounds)


def paragraph(text):
    return textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False) + [""]


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def speed(images_per_s):
    return f"{images_per_s:,.0f}" if images_per_s >= 100 else f"{images_per_s:.1f}"


def again(name):
    return f"`make bench BENCH=\"--only {name}\"`"


def comparisons(results):
    return [(name, case) for name, case in results["cases"].items() if "eager" in case["commands"]]


def step_tables(results):
    rows, missed = [], 0
    for name, case in comparisons(results):
        found, least, most = ratio(case)
        target = target_of(case)
        met = "" if target is None else "yes" if found >= target else "**no**"
        missed += met == "**no**"
        sides = [speed(median(case, side, "images_per_s")) for side in ("mfi", *MODES)]
        rows.append([WORK[case["work"]], str(case["width"]), case["precision"], *sides,
                     f"{found:.2f} ({least:.2f}-{most:.2f})", "-" if target is None else f"{target:.1f}", met,
                     str(len(case["rounds"])), again(name)])
    lines = ["## Steps, against PyTorch", ""]
    lines += paragraph(
        "ResNet-34 on 32x32 images, batch 128. Images per second, each the median over the rounds of the median step "
        "of a round; in a round mfi, PyTorch eager and PyTorch compiled run one after the other, each in a process of "
        "its own. Ratio: mfi's median over that of the faster PyTorch mode, and in brackets the least and the greatest "
        "ratio of the two within a round.")
    lines += table(["work", "width", "precision", "mfi", "PyTorch eager", "PyTorch compiled", "ratio", "target", "met",
                    "rounds", "again with"], rows)
    lines += ["", f"{len(rows) - missed} of {len(rows)} targets met." if rows else "Nothing measured."]

    lines += ["", "### Memory and page faults", ""] + paragraph(
        "Peak memory of the whole process (Python and, where it compiles, the compiler included), and minor page "
        "faults a step after the warm-up; medians over the rounds of the same runs.")
    rows = []
    for name, case in comparisons(results):
        cells = [f"{median(case, side, 'peak_memory_bytes') / 2**20:,.0f} MiB, "
                 f"{median(case, side, 'minor_faults_per_step'):,.0f}" for side in ("mfi", *MODES)]
        rows.append([WORK[case["work"]], str(case["width"]), case["precision"], *cells])
    return lines + table(["work", "width", "precision", "mfi", "PyTorch eager", "PyTorch compiled"], rows)


PROFILED_CONVOLUTIONS = ("convolution", "input's gradient", "weight's gradient", "gradients")


def profiles(results):
    """Where the time goes of what falls short of its target."""
    lines = []
    for name, case in comparisons(results):
        target = target_of(case)
        if target is None or ratio(case)[0] >= target or "profile" not in case:
            continue
        share = sum(float(line.split()[-2]) for line in case["profile"].splitlines()
                    if line.startswith(PROFILED_CONVOLUTIONS))
        lines += [f"### {WORK[case['work']].capitalize()}, width {case['width']}, "
                  f"{case['precision']}", "", f"    {case['commands']['mfi']} --profile", ""]
        lines += paragraph(f"Convolutions and their gradients take {share:.0f} % of the time.")
        lines += ["    " + line if line else "" for line in case["profile"].rstrip().splitlines()] + [""]
    if lines:
        lines = ["## What is left where a target is missed", ""] + lines
    return lines


def waiting_table(results):
    rows = []
    for name, case in results["cases"].items():
        if "--loader" not in case["commands"]["mfi"]:
            continue
        shares = values(case, "mfi", "waiting_percent")
        met = "yes" if statistics.median(shares) <= WAITING_TARGET else "**no**"
        rows.append([WORK[case["work"]], str(case["width"]), case["precision"],
                     speed(median(case, "mfi", "images_per_s")),
                     f"{statistics.median(shares):.2f} % ({min(shares):.2f}-{max(shares):.2f})",
                     f"{WAITING_TARGET} %", met, str(len(shares)), again(name)])
    return ["## Waiting for images", ""] + paragraph(
        "Share of the time that training waits for the Loader, which augments on a thread of its own: the sample's "
        "images, 39 steps an epoch, so that it also starts anew ten times as often as with CIFAR-10. Median, and least "
        "and greatest of the rounds.") + table(
            ["work", "width", "precision", "images/s", "waiting", "at most", "met", "rounds", "again with"], rows)


def command_list(results):
    lines = ["### The commands behind the rows", "", "`make bench` builds and runs these, by bench/compare.py:", ""]
    for name, case in results["cases"].items():
        lines += [f"    {command}" for command in case["commands"].values()]
    return lines


def by_name(ops):
    """{(operation, width, precision, shape): the benchmark's fields}, of medians where there are repetitions."""
    found = {}
    for entry in ops["benchmarks"]:
        if entry.get("aggregate_name", "median") != "median" or entry.get("error_occurred"):
            continue
        parts = entry.get("run_name", entry["name"]).split("/")
        found[tuple(parts[:4])] = entry
    return found


CONVOLUTIONS = {"conv_bias": "forward, folded", "x_gradient": "gradient of the input",
                "weight_gradient": "of the weights", "onednn_weight_gradient": "of the weights, oneDNN",
                "conv_norm": "fused layer, both ways"}


def distinct(items):
    return list(dict.fromkeys(items))


def of_peak(entry, rate, share):
    return "-" if entry is None else f"{entry[rate]:,.0f} ({entry[share]:.0f} %)"


def convolution_tables(found):
    lines = []
    for width, precision in distinct(key[1:3] for key in found if key[0] in CONVOLUTIONS):
        shapes = distinct(key[3] for key in found if key[0] in CONVOLUTIONS and key[1:3] == (width, precision))
        rows = [[shape, *(of_peak(found.get((operation, width, precision, shape)), "GFLOP/s", "peak_percent")
                          for operation in CONVOLUTIONS)] for shape in shapes]
        lines += [f"Width {width[1:]}, {precision}:", "", *table(["convolution", *CONVOLUTIONS.values()], rows), ""]
    return lines


def pass_tables(found):
    passes = [key for key in found if key[0] not in CONVOLUTIONS]
    places = distinct((key[1], key[3]) for key in passes)
    lines = []
    for precision in distinct(key[2] for key in passes):
        rows = [[operation, *(of_peak(found.get((operation, width, precision, shape)), "GB/s", "bandwidth_percent")
                              for width, shape in places)] for operation in distinct(key[0] for key in passes)]
        lines += [f"{precision}:", "", *table(["pass", *(f"{width}: {shape}" for width, shape in places)], rows), ""]
    return lines


def ops_tables(ops):
    context, found = ops["context"], by_name(ops)
    lines = ["## Operations, against the machine's peak", "", "    make bench BENCH=\"--only ops\"", ""]
    lines += paragraph(
        f"Machine: {context['machine']}. Measured by the same program: {context['fp32_peak_gflop_per_s']} GFLOP/s in "
        f"float32 ({context['fp32_peak_instructions']}, a loop of multiply-adds on registers alone), "
        f"{context['bf16_peak_gflop_per_s']} GFLOP/s in bfloat16 ({context['bf16_peak_instructions']}); "
        f"{context['memory_gb_per_s']} GB/s from memory and {context['l2_gb_per_s']} GB/s from the second-level caches "
        "(triad).")
    lines += ["### Convolutions", ""]
    lines += paragraph(
        "Batch 128. GFLOP/s and the share of that peak; a multiply-add is two FLOP, products with the padding are not "
        "counted, and Winograd's way of computing a convolution needs fewer than are counted. The fused layer "
        "(convolution, batch norm, ReLU; forward and all gradients) counts its three convolutions only. Operands lie "
        "where the last call left them.")
    lines += convolution_tables(found)
    lines += ["### Passes over activations, and the arithmetic of a path", ""]
    lines += paragraph(
        "On the stages' outputs (width, channels, size), batch 128. GB/s of what has to be read and written, and the "
        "share of what a triad over as many bytes reaches: small ones lie in a cache, large ones do not.")
    return (lines + pass_tables(found))[:-1]


def document(results, ops=None):
    machine = results["machine"]
    lines = ["# Benchmarks", "", "<!-- Written by bench/report.py; `make bench` writes it anew. -->", "",
             "    make bench", ""]
    lines += paragraph(
        "measures all of this on the machine at hand and writes this page: steps against PyTorch, side by side, and "
        "operations against what the machine can do at most. A quiet machine gives small spreads; the ratios stand a "
        "busy one, since both sides are run in turn.")
    if any(len(case["rounds"]) < ROUNDS for case in results["cases"].values()) or (ops and "quick" in ops["context"]):
        lines += paragraph(
            f"**Some rows have fewer than {ROUNDS} rounds, or come from `make bench BENCH=--quick`, a short check that "
            "everything works: they are no measurement.**")
    lines += paragraph(
        f"Machine: {machine['machine']}; {machine['cores']} cores, {machine['system']}. {machine['mfi']}; PyTorch "
        f"{machine['torch']}, Python {machine['python']}.")
    builds = {case["build"] for case in results["cases"].values()}
    if len(builds) > 1:
        lines += paragraph(f"The rows come from {len(builds)} different builds of mfi or PyTorch's side.")
    lines += step_tables(results) + [""] + profiles(results) + waiting_table(results) + [""] + command_list(results)
    if ops:
        lines += [""] + ops_tables(ops)
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description="write docs/benchmarks.md")
    parser.add_argument("results")
    parser.add_argument("--ops")
    parser.add_argument("--out")
    args = parser.parse_args()
    try:
        with open(args.results) as file:
            results = json.load(file)
        ops = None
        if args.ops and os.path.exists(args.ops):
            with open(args.ops) as file:
                ops = json.load(file)
    except (OSError, ValueError) as error:
        sys.exit(f"report.py: {error}")
    text = document(results, ops)
    if not args.out:
        sys.stdout.write(text)
        return
    with open(args.out, "w") as file:
        file.write(text)


if __name__ == "__main__":
    main()

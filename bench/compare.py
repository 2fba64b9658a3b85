#!/usr/bin/env python3
"""mfi against PyTorch, step by step on this machine.

usage: compare.py MFI BASELINE [--work train,eval,map] [--width 16,64] [--precision bf16] [--rounds 5] [--seconds 6]
                  [--python python3] [--modes eager,compile]

MFI       the program, build/release/bin/mfi
BASELINE  a script that takes the same arguments as 'mfi bench' and prints the same JSON line with PyTorch
          (bench/pytorch_baseline.py; needs 'pip install torch==2.11.0 numpy')

All sides are run in turn, ROUNDS times over, so that a machine that others use too disturbs them alike. Prints
for every case the median of each side's images per second, its spread (the quartiles), and the ratio of mfi's
median to that of the better PyTorch mode.
"""
import argparse
import json
import statistics
import subprocess
import sys


def images_per_second(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])["images_per_s"]


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def main():
    parser = argparse.ArgumentParser(description="mfi against PyTorch, alternating")
    parser.add_argument("mfi")
    parser.add_argument("baseline")
    parser.add_argument("--work", default="train,eval,map")
    parser.add_argument("--width", default="16,64")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--modes", default="eager,compile")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", default="6")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--python", default=sys.executable)
    args = parser.parse_args()
    modes = args.modes.split(",")

    print("| work | width | precision | mfi, images/s | " + " | ".join(f"PyTorch {m}" for m in modes) + " | ratio |")
    print("|---|---|---|---|" + "---|" * len(modes) + "---|")
    for precision in args.precision.split(","):
        for work in args.work.split(","):
            for width in args.width.split(","):
                common = [work, "--width", width, "--precision", precision, "--threads", args.threads, "--seconds", args.seconds]
                sides = {"mfi": [args.mfi, "bench", *common]}
                for mode in modes:
                    sides[mode] = [args.python, args.baseline, *common, "--mode", mode]
                speeds = {side: [] for side in sides}
                for _ in range(args.rounds):
                    for side, command in sides.items():
                        speeds[side].append(images_per_second(command))
                medians = {side: statistics.median(values) for side, values in speeds.items()}
                cells = []
                for side, values in speeds.items():
                    low, high = quartiles(values)
                    cells.append(f"{medians[side]:.0f} ({low:.0f}-{high:.0f})")
                ratio = medians["mfi"] / max(medians[mode] for mode in modes)
                print(f"| {work} | {width} | {precision} | " + " | ".join(cells) + f" | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Compares a step's TensorBoard events with its metrics.csv, number by number.

usage: compare_tensorboard.py FOLDER

FOLDER holds metrics.csv and a file with "tfevents" in its name. Needs the Python package tensorboard, whose own reader
is used. Ends with code 1 and the first differences where there are some.
"""

import csv
import math
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

# The CSV has six digits; the events have float32, which is finer.
TOLERANCE = 1e-5


def same(a, b):
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= TOLERANCE * abs(a)


def main():
    folder = Path(sys.argv[1])
    events = [file for file in folder.iterdir() if "tfevents" in file.name]
    if len(events) != 1:
        sys.exit(f"{folder}: {len(events)} event files, expected one")
    reader = EventAccumulator(str(events[0]), size_guidance={"scalars": 0})
    reader.Reload()
    found = {(tag, event.step): event.value for tag in reader.Tags()["scalars"] for event in reader.Scalars(tag)}
    with open(folder / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    expected = {
        (tag, int(row["epoch"])): float(text) for row in rows for tag, text in row.items() if tag != "epoch" and text
    }
    wrong = [key for key in sorted(set(expected) | set(found))
             if key not in expected or key not in found or not same(expected[key], found[key])]
    for tag, step in wrong[:10]:
        print(f"{tag} of epoch {step}: metrics.csv {expected.get((tag, step))}, events {found.get((tag, step))}")
    if wrong:
        sys.exit(1)
    print(f"{len(expected)} numbers of {len(rows)} epochs are the same")


if __name__ == "__main__":
    main()

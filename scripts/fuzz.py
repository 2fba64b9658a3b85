#!/usr/bin/env python3
"""Runs the fuzz targets one after another and prints what came of it (docs/fuzzing.md).

usage: fuzz.py BUILD [--seconds N] [--target NAME]      BUILD: what the preset fuzz built, build/fuzz

Each target runs for N seconds of wall-clock, on from the corpus that earlier runs left in BUILD/corpus. Inputs that fail
are kept in BUILD/findings; after one the target goes on for what is left of its time, up to ten of them. The exit status
is 1 when there were any.
"""
import argparse
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

repository = Path(__file__).resolve().parent.parent
MOST_FINDINGS = 10  # of one target; more are mostly the same again

# One second is a hundred times what the slowest seeds take. What an input may take of memory the targets judge
# themselves (fuzz/target.h); these limits, in MB, stop an allocation before it is made, and the process before the machine
# suffers. AddressSanitizer's own needs are in the second one.
LIMITS = ['-timeout=1', '-malloc_limit_mb=256', '-rss_limit_mb=2048', '-max_len=65536']


def numbers(log):
    """Executions, new corpus entries and edges covered, from libFuzzer's output."""
    def last(pattern):
        found = re.findall(pattern, log)
        return int(found[-1]) if found else 0
    return last(r'number_of_executed_units: (\d+)'), last(r'new_units_added: +(\d+)'), last(r' cov: (\d+)')


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def fuzz(program, name, seconds, build):
    corpus, findings, logs = (build / kind / name for kind in ('corpus', 'findings', 'logs'))
    for folder in (corpus, findings, logs):
        folder.mkdir(parents=True, exist_ok=True)
    seeds = [f for f in (repository / 'fuzz/corpus' / name, repository / 'fuzz/crashes' / name) if f.is_dir()]
    before = set(findings.iterdir())
    total = {'executions': 0, 'new': 0, 'edges': 0}
    begin, cpu = time.monotonic(), cpu_seconds()
    runs = 0
    while (left := round(seconds - (time.monotonic() - begin))) > 0 and runs < MOST_FINDINGS:
        run = subprocess.run(
            [program, f'-max_total_time={left}', '-print_final_stats=1', f'-artifact_prefix={findings}/', *LIMITS, corpus,
             *seeds], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        log = run.stderr.decode(errors='replace')
        (logs / f'{runs}.txt').write_text(log)
        executions, new, edges = numbers(log)
        total['executions'] += executions
        total['new'] += new
        total['edges'] = max(total['edges'], edges)
        runs += 1
        if run.returncode == 0:
            break
        if set(findings.iterdir()) == before:  # it failed before it had an input
            print(log[-2000:], file=sys.stderr)
            sys.exit(f'{name}: ended with status {run.returncode}; its output is above')
    wall = time.monotonic() - begin
    return {**total, 'rate': total['executions'] / max(wall, 1e-9),
            'cpu': cpu_seconds() - cpu,
            'findings': sorted(set(findings.iterdir()) - before)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('build', type=Path)
    parser.add_argument('--seconds', type=int, default=60)
    parser.add_argument('--target')
    options = parser.parse_args()
    programs = {p.name.removesuffix('_fuzz'): p for p in sorted((options.build / 'fuzz').glob('*_fuzz'))}
    if options.target:
        if options.target not in programs:
            sys.exit(f'no target {options.target}; there are {", ".join(programs)}')
        programs = {options.target: programs[options.target]}

    rows = []
    for name, program in programs.items():
        print(f'{name}: {options.seconds} s', flush=True)
        rows.append((name, fuzz(program.resolve(), name, options.seconds, options.build.resolve())))

    print(f'\n{"target":<14}{"executions":>12}{"a second":>10}{"CPU s":>8}{"new":>7}{"edges":>8}{"findings":>10}')
    print('-' * 69)
    for name, row in rows:
        print(f'{name:<14}{row["executions"]:>12}{row["rate"]:>10.0f}{row["cpu"]:>8.0f}{row["new"]:>7}{row["edges"]:>8}'
              f'{len(row["findings"]):>10}')
    findings = [(name, file) for name, row in rows for file in row['findings']]
    if findings:
        print('\nTo run a finding again:')
        for name, file in findings:
            print(f'  {programs[name]} {file}')
    return 1 if findings else 0


if __name__ == '__main__':
    sys.exit(main())

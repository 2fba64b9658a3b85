#!/usr/bin/env python3
"""Runs a long training and looks at its memory on the way: it has to stay flat.

    scripts/soak.py MFI [--epochs N] [--out FOLDER] [--set KEY=VALUE ...]

The recipe is recipes/sample.toml with a teacher of N epochs and all other steps after it. Resident memory (VmRSS of
/proc/PID/status, MB) is read ten times a second; the table has its mean around 10, 25, 50, 75 and 100 % of the
teacher's training, and its highest value in the whole run. Ends with 1 when the last mean is more than 2 % and 4 MB
above the first.
"""
import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHARES = [10, 25, 50, 75, 100]


def resident_mb(process_id):
    try:
        for line in Path(f'/proc/{process_id}/status').read_text().splitlines():
            if line.startswith('VmRSS:'):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('mfi')
    parser.add_argument('--epochs', type=int, default=100)
    parser.add_argument('--out')
    parser.add_argument('--set', action='append', default=[], dest='settings')
    arguments = parser.parse_args()
    out = arguments.out or tempfile.mkdtemp(prefix='mfi-soak-')
    command = [arguments.mfi, 'run', str(ROOT / 'recipes/sample.toml'), '--out', out, '--yes', '--progress', 'json',
               '--set', f'teacher.epochs={arguments.epochs}']
    for setting in arguments.settings:
        command += ['--set', setting]

    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    samples = []  # share of the teacher's training in percent, MB
    share, step, lines = 0.0, '', []
    highest = 0.0

    def watch():
        nonlocal highest
        while process.poll() is None:
            value = resident_mb(process.pid)
            if value is not None:
                highest = max(highest, value)
                if step == 'teacher':
                    samples.append((share, value))
            time.sleep(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for line in process.stderr:
        try:
            event = json.loads(line)
        except ValueError:
            lines.append(line)
            continue
        # Only of the training itself: the last evaluation has buffers of its own.
        if event.get('event') == 'phase':
            step = event['step'] if event['phase'] == 'train' else ''
        if event.get('event') == 'progress':
            if event['step'] == 'teacher' and event['epochs']:
                share = 100 * (event['epoch'] - 1 + event['batch'] / event['batches']) / event['epochs']
    process.wait()
    watcher.join()
    if process.returncode != 0:
        sys.exit(f'soak: mfi ended with {process.returncode}: {"".join(lines[-3:])}')

    means = []
    for wanted in SHARES:
        near = [value for at, value in samples if wanted - 3 <= at <= wanted]
        if not near:
            sys.exit(f'soak: no sample around {wanted} %; give more --epochs')
        means.append(sum(near) / len(near))
    print(f'{arguments.epochs} epochs, {len(samples)} samples')
    print('share of the training   ' + ''.join(f'{share:>9} %' for share in SHARES) + '    highest')
    print('resident memory, MB     ' + ''.join(f'{mean:11.1f}' for mean in means) + f'{highest:11.1f}')
    if means[-1] > means[0] * 1.02 and means[-1] > means[0] + 4:
        sys.exit('soak: memory has grown')


if __name__ == '__main__':
    main()

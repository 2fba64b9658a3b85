#!/usr/bin/env bash
# bench/peers/peers.py with a Python that has what it needs: what `make peers` runs.
#
# usage: run.sh MFI RUN [flags of peers.py]
#
# MFI_BENCH_PYTHON  a Python with the packages of requirements.txt; without it one is made in build/peers-venv (5 GB, once).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 2 ] && [ -n "$2" ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 64; }

python=${MFI_BENCH_PYTHON:-}
if [ -z "$python" ]; then
  venv=$here/../../build/peers-venv
  python=$venv/bin/python
  mkdir -p "$(dirname "$venv")"
  exec 9>"$venv.lock"
  flock 9  # another one may be making it
  if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
    echo "Installing PyTorch and Torch-Pruning into build/peers-venv (5 GB, once)" >&2
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/"
  fi
  exec 9>&-
fi
exec "$python" "$here/peers.py" "$@"

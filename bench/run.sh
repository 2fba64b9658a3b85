#!/usr/bin/env bash
# All benchmarks, one after the other, and docs/benchmarks.md from them: what `make bench` runs once all is built.
#
# usage: run.sh BUILD [--quick] [--only CASE,...] [--fresh] [--rounds N] [--seconds S]
#
# BUILD    a build folder with bin/mfi and bin/ops_bench
# --only   some of the cases of bench/compare.py, or ops: the operations. The page keeps what it had of the others
# --quick  a short look at a few cases, to see that everything works (minutes)
#
# What is measured gathers in build/bench; a run that was interrupted goes on where it stopped.
# MFI_BENCH_PYTHON  a Python with torch; without it one is made in build/bench-venv (5 GB, once).
# MFI_BENCH_PAGE    the page to write; default docs/benchmarks.md
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -ge 1 ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 64; }
program=$1
shift
folder=build/bench
page=${MFI_BENCH_PAGE:-docs/benchmarks.md}
export OMP_NUM_THREADS=2

# The words of the command line that this script looks at; all of them go on to compare.py, which checks them.
only="" quick="" words=("$@")
for ((i = 0; i < ${#words[@]}; ++i)); do
  case ${words[i]} in
    --only) only=${words[i + 1]:-} ;;
    --only=*) only=${words[i]#--only=} ;;
    --quick) quick=yes ;;
  esac
done

python=${MFI_BENCH_PYTHON:-}
if [ -z "$python" ]; then
  python=build/bench-venv/bin/python
  if ! "$python" -c "import torch" 2>/dev/null; then
    version=$(sed -n 's/^\(torch==[^ ]*\).*/\1/p' cmake/libtorch.txt)
    echo "Installing $version for Python into build/bench-venv (5 GB, once)"
    rm -rf build/bench-venv
    python3 -m venv build/bench-venv
    "$python" -m pip install --quiet --disable-pip-version-check "$version" numpy
  fi
fi
if ! "$python" -c "import torch" 2>/dev/null; then
  echo "run.sh: $python cannot import torch; give MFI_BENCH_PYTHON one that can, or none to have one made" >&2
  exit 1
fi

mkdir -p "$folder"
if [ "$only" != ops ]; then
  python3 bench/compare.py "$program/bin/mfi" "$folder/results.json" --python "$python" "$@"
fi

if [ -z "$only" ] || [ "$only" = ops ]; then
  flags=(--benchmark_min_time=0.1 --benchmark_repetitions=3)
  if [ -n "$quick" ]; then
    flags=(--benchmark_min_time=0.01 --benchmark_context=quick=yes)
  fi
  "$program/bin/ops_bench" "${flags[@]}" --benchmark_out="$folder/ops.json.part" --benchmark_out_format=json \
    >"$folder/ops.log" 2>&1 || { cat "$folder/ops.log" >&2; exit 1; }
  mv "$folder/ops.json.part" "$folder/ops.json"
fi

if [ ! -e "$folder/results.json" ]; then
  echo "The operations are in $folder/ops.json; the page needs a comparison too: run without --only ops"
  exit
fi
python3 bench/report.py "$folder/results.json" --ops "$folder/ops.json" --out "$page"
echo "Written: $page"

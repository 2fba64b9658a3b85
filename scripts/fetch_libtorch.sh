#!/usr/bin/env bash
# Fetches LibTorch (CPU) into the user's cache folder, once for all checkouts.
#
# usage: fetch_libtorch.sh [--where]      --where only prints the folder
#
# LibTorch comes out of PyPI's torch wheel, which holds its headers and libraries. Versions and
# SHA-256 sums stand in cmake/libtorch.txt. Only what a CPU program needs is kept (0.5 GB).
set -euo pipefail
requirements="$(dirname "$0")/../cmake/libtorch.txt"
version=$(sed -n 's/^torch==\([^ ]*\).*/\1/p' "$requirements")
root="${XDG_CACHE_HOME:-${HOME:-$(echo ~)}/.cache}/mfi/libtorch-$version"

case "${1:-}" in
  --where) echo "$root"; exit ;;
  "") ;;
  *) echo "usage: $0 [--where]" >&2; exit 64 ;;
esac

complete() {
  [ -e "$root/include/ATen/ATen.h" ] || return 1
  local name
  for name in libtorch_cpu.so libc10.so libgomp.so.1 libcudart.so.13 libcupti.so.13; do
    [ -e "$root/lib/$name" ] || return 1
  done
}
if complete; then exit; fi

if [ "$(uname -s) $(uname -m)" != "Linux x86_64" ]; then
  echo "fetch_libtorch.sh: the pinned LibTorch is for Linux on x86_64, this is $(uname -s) on $(uname -m);" \
       "pass MFI_LIBTORCH=DIR for one of your own" >&2
  exit 1
fi
if ! python3 -m pip --version >/dev/null 2>&1; then
  echo "fetch_libtorch.sh: python3 with pip is needed (Debian: apt-get install python3-pip)" >&2
  exit 1
fi

# One at a time: a second one waits here, then finds the work done.
mkdir -p "$(dirname "$root")"
exec 9>"$root.lock"
flock 9
if complete; then exit; fi

# Whatever an earlier, killed one left; the lock says that nobody is using it.
rm -rf "$root".part.*
part="$root.part.$$"
trap 'rm -rf "$part"' EXIT
mkdir "$part" "$part/wheels" "$part/tree"

echo "Fetching LibTorch $version into $root (0.5 GB, once)"
python3 -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps \
  --only-binary=:all: --python-version 3.11 --implementation cp --abi cp311 \
  --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 \
  --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
  --require-hashes -r "$requirements" -d "$part/wheels"

python3 - "$part/wheels" "$part/tree" <<'PYTHON'
import shutil, sys
from pathlib import Path
from zipfile import ZipFile

wheels, tree = map(Path, sys.argv[1:])
libraries = {"libtorch_cpu.so", "libc10.so", "libtorch.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"}
for wheel in sorted(wheels.glob("*.whl")):
    with ZipFile(wheel) as archive:
        for name in archive.namelist():
            file = name.rsplit("/", 1)[-1]
            if name.startswith("torch/include/") and file:
                to = tree / name.removeprefix("torch/")
            elif file in libraries:
                to = tree / "lib" / file  # flat: the loader looks beside libtorch_cpu.so
                libraries.discard(file)
            else:
                continue
            to.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, open(to, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
if libraries:
    sys.exit(f"fetch_libtorch.sh: not found in the wheels: {', '.join(sorted(libraries))}")
PYTHON

# An incomplete folder of the same name (someone deleted a file in it) makes way.
rm -rf "$root"
mv -T "$part/tree" "$root"

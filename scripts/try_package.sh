#!/usr/bin/env bash
# Installs the Debian packages into a bare Debian 12, and uses them there: the program, then the examples built against
# the library. What `make package` made is tried as a stranger would meet it.
#
# usage: try_package.sh [PACKAGES [ROOT]]
#          PACKAGES  folder of mfi_*.deb and mfi-dev_*.deb; default build/release/packages
#          ROOT      folder for the Debian, made by debootstrap if it is not there (0.3 GB, and 3 GB once all is
#                    installed) and kept; default: a temporary one that is removed
#
# Needs root (chroot, mount) and debootstrap. MFI_MIRROR: the Debian mirror; default http://deb.debian.org/debian.
# Environment variables that name a proxy are handed on.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
packages=$(realpath "${1:-$here/build/release/packages}")
mirror=${MFI_MIRROR:-http://deb.debian.org/debian}

[ "$(id -u)" -eq 0 ] || { echo "try_package.sh: needs root, for debootstrap, mount and chroot" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "try_package.sh: debootstrap is not installed" >&2; exit 1; }
program=("$packages"/mfi_*.deb) development=("$packages"/mfi-dev_*.deb)
for file in "${program[0]}" "${development[0]}"; do
  [ -e "$file" ] || { echo "try_package.sh: no $file; make package makes it" >&2; exit 1; }
done

if [ -n "${2:-}" ]; then
  mkdir -p "$2"
  root=$(realpath "$2") keep=yes
else
  root=$(mktemp -d) keep=""
fi
clean_up() {
  umount "$root/proc" 2>/dev/null || true
  if [ -z "$keep" ]; then rm -rf --one-file-system "$root"; fi
}
trap clean_up EXIT

if [ ! -e "$root/etc/debian_version" ]; then
  echo "== debootstrap of a minimal Debian 12"
  debootstrap --variant=minbase bookworm "$root" "$mirror" >"$root.log" 2>&1 || { tail -n 20 "$root.log"; exit 1; }
  rm -f "$root.log"
fi
cp /etc/resolv.conf "$root/etc/resolv.conf"
mount -t proc proc "$root/proc"
mkdir -p "$root/packages"
cp "${program[0]}" "${development[0]}" "$root/packages/"

# Runs its arguments in the new Debian, in /root, and shows them.
inside() {
  echo "\$ $*"
  chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
    sh -c "cd /root && $*"
}
quietly() { inside "$@" >"$root/log" 2>&1 || { cat "$root/log"; exit 1; }; head -n 1 "$root/log"; }

echo "== the program, in $(chroot "$root" sh -c '. /etc/os-release; echo $PRETTY_NAME'), $(chroot "$root" dpkg -l | grep -c ^ii) packages"
quietly apt-get update
quietly apt-get install -y --no-install-recommends "/packages/$(basename "${program[0]}")"
inside "dpkg -s mfi | grep -E '^(Package|Version|Installed-Size|Depends)'"
inside mfi --help
inside mfi version
inside "zcat /usr/share/man/man1/mfi-run.1.gz | head -n 3"
inside bash -c "'source /usr/share/bash-completion/completions/mfi; complete -p mfi'"
inside "mfi run /usr/share/mfi/recipes/sample.toml --out runs/sample --progress none \
  --set data.limit=500 --set network.width=8 --set 'flow.hidden=[6,12,24]' \
  --set teacher.epochs=2 --set map.epochs=1 --set meta.epochs=1 --set hybrid.epochs=1"

echo "== the library"
quietly apt-get install -y --no-install-recommends "/packages/$(basename "${development[0]}")" g++ make cmake
quietly rm -rf /root/examples /root/build
quietly cp -r /usr/share/doc/mfi/examples /root/examples
for example in classify_picture map_one_stage; do
  quietly "cmake -S examples/$example -B build/$example && cmake --build build/$example"
done
inside build/classify_picture/classify_picture runs/sample/hybrid/model.safetensors /usr/share/mfi/sample/test.png
inside build/map_one_stage/map_one_stage

echo "== removed again, nothing is left behind"
quietly apt-get purge -y mfi mfi-dev
inside 'for f in /usr/bin/mfi /usr/lib/*mfi* /usr/lib/cmake/mfi /usr/share/mfi /usr/share/doc/mfi* /usr/include/*mfi* \
    /usr/share/man/man1/mfi* /usr/share/bash-completion/completions/mfi; do
  if [ -e "$f" ]; then echo "left behind: $f"; exit 1; fi
done'
echo "== all of it worked"

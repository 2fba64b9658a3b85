#!/usr/bin/env bash
# Installs the Debian packages that are missing; says and does nothing when none is.
#
# usage: install_packages.sh [GROUP]      GROUP: also those of this group in cmake/debian-packages.txt
#
# As root, or through sudo; with neither it prints the apt-get line and stops.
set -euo pipefail
list="$(dirname "$0")/../cmake/debian-packages.txt"
group="${1:-}"

wanted=$(awk -v group="$group" '/^[^#]/ { wanted = NF == 1; for (i = 2; i <= NF; i++) if ($i == group) wanted = 1
                                  if (wanted) print $1 }' "$list")

if ! command -v dpkg-query >/dev/null; then
  echo "install_packages.sh: not a Debian system; taking it that these, or what they are called here," \
       "are installed:" $wanted >&2
  exit 0
fi

missing=()
for package in $wanted; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  # Without a terminal sudo could only ask in vain.
  if command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
    as_root=(sudo)
  else
    echo "install_packages.sh: packages are missing, and this is neither root nor sudo; run as root:" >&2
    echo "  apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
fi

echo "Installing ${missing[*]}"
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt update && apt install --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
  cat "$log" >&2
  echo "install_packages.sh: apt-get failed, its output is above" >&2
  exit 1
fi

#!/usr/bin/env bash
# Installs a build into a folder of its own, and builds and runs the examples against that.
#
# usage: examples_test.sh BUILD CMAKE COMPILER
set -euo pipefail
build=$1 cmake=$2 compiler=$3
source=$(cd "$(dirname "$0")/.." && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Beside a prefix with a blank in its name, as a user may have one.
prefix="$work/pre fix"
fail() { echo "examples_test: $*" >&2; exit 1; }

"$cmake" --install "$build" --prefix "$prefix" >"$work/install.log" || { cat "$work/install.log"; exit 1; }

echo "-- the installed headers include nothing that is not installed"
(cd "$prefix/include" && grep -rho '#include "mfi/[^"]*"' mfi | sort -u | cut -d'"' -f2) >"$work/included"
[ -s "$work/included" ] || fail "no header of mfi is installed"
while read -r header; do
  [ -e "$prefix/include/$header" ] || fail "$header is included but not installed; see cmake/MfiPublicHeaders.cmake"
done <"$work/included"

echo "-- the manual pages and completions are installed, and are those of this program"
for page in mfi mfi-run mfi-data-get; do
  gzip -dc "$prefix/share/man/man1/$page.1.gz" >"$work/page" || fail "no manual page $page"
  "$prefix/bin/mfi" man $(echo "$page" | tr - ' ' | cut -d' ' -f2- | sed 's/^mfi$//') | cmp - "$work/page" || fail "$page is another page"
done
for file in bash:bash-completion/completions/mfi zsh:zsh/vendor-completions/_mfi fish:fish/vendor_completions.d/mfi.fish; do
  "$prefix/bin/mfi" completion "${file%%:*}" | cmp - "$prefix/share/${file#*:}" || fail "${file#*:} is another script"
done

echo "-- the library keeps its headers-only libraries to itself"
nm -DC --defined-only "$prefix/lib/mfi/libmfi.so" >"$work/symbols"
grep -q 'mfi::Classifier::load' "$work/symbols" || fail "libmfi.so does not have mfi::Classifier"
if grep -E ' (nlohmann|toml|protozero)::' "$work/symbols" | head -n 3 | grep .; then fail "libmfi.so shows these"; fi

echo "-- both examples build by find_package(mfi), from a copy outside the source tree"
cp -r "$prefix/share/doc/mfi/examples" "$work/examples"
for example in classify_picture map_one_stage; do
  "$cmake" -S "$work/examples/$example" -B "$work/$example" -DCMAKE_CXX_COMPILER="$compiler" \
    -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_CXX_FLAGS=-Werror >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
  "$cmake" --build "$work/$example" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
done

echo "-- classify_picture says what mfi predict says"
(cd "$work" && "$prefix/bin/mfi" run "$source/recipes/sample.toml" --out "$work/run" --only teacher --progress none \
  --set network.width=4 --set 'flow.hidden=[4]' --set data.limit=200 --set teacher.epochs=1 \
  --set teacher.warmup_epochs=0) >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
model="$work/run/teacher/model.safetensors"
"$work/classify_picture/classify_picture" "$model" "$source/sample/test.png" | tee "$work/classified"
[ "$(wc -l <"$work/classified")" -eq 3 ] || fail "expected three lines"
best=$("$prefix/bin/mfi" predict "$model" "$source/sample/test.png" --format csv 2>/dev/null | sed 1d | cut -d, -f2)
[ "$(head -n 1 "$work/classified" | awk '{ print $3 }')" = "$best" ] || fail "mfi predict says '$best'"
status=0
"$work/classify_picture/classify_picture" "$model" "$work/none.png" 2>"$work/log" || status=$?
[ "$status" -eq 66 ] && grep -q 'none.png' "$work/log" || fail "a missing picture: exit code $status, $(cat "$work/log")"

echo "-- map_one_stage maps it, with the sample that is installed"
(cd "$work" && MFI_SAMPLE="$prefix/share/mfi/sample" "$work/map_one_stage/map_one_stage" "$work/state")

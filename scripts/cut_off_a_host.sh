#!/usr/bin/env bash
# Three hosts on this one: network namespaces with an address each, on a bridge. Trains the sample on them with one
# process each, cuts one off in the midst of it, and shows what the others say and when they end; then goes on with
# the two that are left. By hand, as root; takes two minutes.
#
# usage: cut_off_a_host.sh [MFI]      MFI: the program, default build/release/bin/mfi
set -euo pipefail
mfi=$(realpath "${1:-$(dirname "$0")/../build/release/bin/mfi}")
recipe=$(realpath "$(dirname "$0")/../recipes/sample.toml")

if [ "$(id -u)" != 0 ] || ! ip netns add mfi-try 2>/dev/null; then
  echo "skipped: this needs root and 'ip netns' (Debian: iproute2), and a kernel with network namespaces"
  exit 0
fi
ip netns del mfi-try

work=$(mktemp -d) bridge=mfi-br
started=()
clean_up() {
  [ ${#started[@]} -eq 0 ] || kill -9 "${started[@]}" 2>/dev/null || true
  for host in 0 1 2; do ip netns del "mfi-host$host" 2>/dev/null || true; done
  ip link del "$bridge" 2>/dev/null || true
  rm -rf "$work"
}
trap clean_up EXIT

ip link add "$bridge" type bridge
ip link set "$bridge" up
for host in 0 1 2; do
  ip netns add "mfi-host$host"
  ip link add "mfi-veth$host" type veth peer name eth0 netns "mfi-host$host"
  ip link set "mfi-veth$host" master "$bridge" up
  ip -n "mfi-host$host" link set lo up
  ip -n "mfi-host$host" addr add "10.77.0.$((host + 1))/24" dev eth0
  ip -n "mfi-host$host" link set eth0 up
done

# start HOST SIZE: process HOST of SIZE on its host, which has a name of its own. Leaves its number in `pid`.
start() {
  ip netns exec "mfi-host$1" unshare --uts bash -c "hostname host$1; exec \"\$@\"" bash \
    env RANK="$1" WORLD_SIZE="$2" LOCAL_RANK=0 MASTER_ADDR=10.77.0.1 MASTER_PORT=29501 OMP_NUM_THREADS=1 \
    "$mfi" run "$recipe" --out "$work/run$([ "$1" = 0 ] || echo "-of-host$1")" --progress plain \
    --set data.limit=1000 --set teacher.epochs="$epochs" >"$work/out$1" 2>"$work/error$1" &
  pid=$!
  started+=("$pid")
}

# wait_for TEXT FILE SECONDS
wait_for() {
  for ((i = 0; i < $3 * 10; ++i)); do
    grep -q "$1" "$2" 2>/dev/null && return
    sleep 0.1
  done
  echo "FAILED: '$1' did not come within $3 s:"
  cat "$work"/error*
  exit 1
}

# cut HOST: three processes, of which that on HOST loses its network.
cut() {
  echo "== three processes on three hosts, host$1 to be cut off"
  rm -rf "$work"/run* "$work"/error*
  epochs=1000
  local pids=() host code
  for host in 0 1 2; do start "$host" 3; pids+=("$pid"); done
  wait_for "teacher: epoch 1/" "$work/error0" 90
  ip link set "mfi-veth$1" down
  local cut_at=$SECONDS
  echo "host$1's link is down"
  for host in 0 1 2; do
    code=0
    wait "${pids[$host]}" || code=$?
    echo "host$host: exit code $code, $((SECONDS - cut_at)) s after the cut: $(grep '^mfi:' "$work/error$host")"
    # Whoever is cut off can only know that it reaches nobody: the store is on host 0.
    local named=$1
    [ "$host" != "$1" ] || named=0
    if [ "$code" != 69 ] || [ $((SECONDS - cut_at)) -gt 30 ] ||
       { [ "$1" != 0 ] && ! grep -q "^mfi: process $named on host$named is lost" "$work/error$host"; }; then
      echo "FAILED: expected exit code 69 within 30 s, and process $named named"
      exit 1
    fi
  done
  ip link set "mfi-veth$1" up
}

cut 2
echo "== the same run with the two that were left"
epochs=1000
start 0 2
first=$pid
start 1 2
second=$pid
wait_for "teacher: going on after epoch" "$work/error0" 90
grep "going on" "$work/error0"
kill -TERM "$second"
code=0
wait "$first" || code=$?
echo "stopped by SIGTERM to process 1: process 0 ends with exit code $code"
[ "$code" = 143 ] || exit 1
wait "$second" || true
cut 0
echo "all as it should be"

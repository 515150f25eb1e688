#!/usr/bin/env bash
# bench/storage/s3.py with a link between server and loader: link.sh RATE [OPTION...], as root.
# RATE is as tc takes it: 1gbit. The two are in networks of their own, which a veth pair joins.
set -euo pipefail
cd "$(dirname "$0")/../.."
rate=$1
shift
told=$(mktemp -u)
unshare --net sleep infinity &
there=$!
unshare --net sleep infinity &
here=$!
trap 'kill $(jobs -p) 2>/dev/null; rm -f "$told"' EXIT
until [[ $(readlink "/proc/$there/ns/net") != $(readlink /proc/self/ns/net) &&
  $(readlink "/proc/$here/ns/net") != $(readlink /proc/self/ns/net) ]]; do sleep 0.1; done
ip link add headrace-a type veth peer name headrace-b
ip link set headrace-a netns "$there"
ip link set headrace-b netns "$here"
in_network() { nsenter --net --target "$@"; }
in_network "$there" sh -c 'ip link set lo up; ip address add 10.9.0.1/24 dev headrace-a; ip link set headrace-a up'
in_network "$here" sh -c 'ip link set lo up; ip address add 10.9.0.2/24 dev headrace-b; ip link set headrace-b up'
in_network "$there" tc qdisc add dev headrace-a root tbf rate "$rate" burst 4mb latency 200ms
nsenter --net --target "$there" .venv/bin/python bench/storage/s3.py --serve "$told" --host 10.9.0.1 "$@" &
until [[ -f $told ]]; do
  kill -0 $! # the server's program has not failed
  sleep 0.5
done
in_network "$here" .venv/bin/python bench/storage/s3.py --at "$told" "$@"

#!/usr/bin/env bash
# Measures the built receiver, side by side with what others would write, on
# real servers; bench/main.go says what each contender is.
#
#   scripts/bench-e2e.sh [full|short|size|soak]
#
#   full    every number of connections, three rounds: some twelve minutes
#   short   does it still work, and roughly how fast: under two minutes
#   size    memory and disk per notification, for docs/SIZING.md
#   soak    memory over ten minutes (DURATION) at a constant RATE
#
# Flags of the program are environment variables here, such as DURATION, ROUNDS,
# CONNS, CONTENDERS, OVERLOAD, NATS_SYNC, OTHERS; `bin/bench-e2e run -h` lists
# them. Everything listens on loopback, on ports of the kernel's choice, and keeps
# its data below TMPDIR, where nothing stays.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}
mode=${1:-full}

fail() {
	echo "bench-e2e: $*" >&2
	exit 1
}
case $mode in
full | short) verb=run ;;
size | soak) verb=$mode ;;
*) fail "unknown mode $mode: full, short, size or soak" ;;
esac
[ "$(uname -s)" = Linux ] || fail "this reads /proc, and so runs on Linux only"
command -v "$go" >/dev/null || fail "Go is not in PATH: install it from https://go.dev/dl/"
command -v redis-server >/dev/null || fail "redis-server is not in PATH: install it (Debian: apt-get install redis-server)"

$go build -o bin/ ./cmd/receiver
$go build -o bin/nats-server github.com/nats-io/nats-server/v2
(cd bench && $go build -o ../bin/bench-e2e .)
export BENCH=$mode
exec bin/bench-e2e "$verb"

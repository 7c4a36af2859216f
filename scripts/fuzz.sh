#!/bin/sh
# Fuzzes every target of every package, one after the other.
#
#   scripts/fuzz.sh [TIME PER TARGET]
#
# What it finds is written below testdata/fuzz: mend the cause, and commit the
# file, which is a test from then on.
set -eu
cd "$(dirname "$0")/.."
go=${GO:-go}
time=${1:-30s}

# go test -list prints the targets of a package, and then "ok package".
list=$($go test -list '^Fuzz' ./...)
targets=$(printf '%s\n' "$list" | awk '
	/^Fuzz/ { names[++n] = $1 }
	/^ok/   { for (i = 1; i <= n; i++) print $2, names[i]; n = 0 }')
[ -n "$targets" ] || { echo "fuzz: found no targets" >&2; exit 1; }

# Go makes each input that it finds interesting smaller for up to a minute, and does
# nothing else meanwhile: a slow target was never fuzzed at all. And it may fail with
# "context deadline exceeded" when the time is over in the middle of an input, having
# found nothing; then, and only then, the seeds decide.
failed=
log=$(mktemp)
trap 'rm -f "$log"' EXIT
while read -r package target; do
	echo "== $target of $package, $time"
	if $go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1s "$package" >"$log" 2>&1; then
		tail -n 3 "$log"
		continue
	fi
	cat "$log"
	if grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log" &&
		$go test -count=1 -run "^$target\$" "$package"; then
		continue
	fi
	failed="$failed $target"
done <<END
$targets
END
[ -z "$failed" ] || { echo "fuzz: failed:$failed" >&2; exit 1; }

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
# "context deadline exceeded" when the time is over in the middle of an input; what
# it really found is a file that the test fails with.
failed=
while read -r package target; do
	echo "== $target of $package, $time"
	$go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1s "$package" ||
		$go test -count=1 -run "^$target\$" "$package" || failed="$failed $target"
done <<END
$targets
END
[ -z "$failed" ] || { echo "fuzz: failed:$failed" >&2; exit 1; }

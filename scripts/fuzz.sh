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

failed=
while read -r package target; do
	echo "== $target of $package, $time"
	$go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package" || failed="$failed $target"
done <<END
$targets
END
[ -z "$failed" ] || { echo "fuzz: failed:$failed" >&2; exit 1; }

#!/bin/sh
# Runs the tests, by default all of them, with the race detector where it can be
# had: it needs a C compiler with its headers. Says which. RACE=0 does without.
#
#   scripts/test.sh [ARGUMENTS OF go test]
set -eu
cd "$(dirname "$0")/.."
go=${GO:-go}

has_cgo() {
	[ "$($go env CGO_ENABLED)" = 1 ] || return 1
	# shellcheck disable=SC2046 # CC may be a command with arguments
	printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' |
		$($go env CC) -x c -o /dev/null - 2>/dev/null
}

[ $# -gt 0 ] || set -- ./...
if [ "${RACE:-1}" = 0 ]; then
	echo "Testing without the race detector, as RACE=0 asks."
elif has_cgo; then
	echo "Testing with the race detector."
	# A process with it sleeps for a second when it ends; our tests run hundreds.
	export GORACE="${GORACE:-atexit_sleep_ms=100}"
	set -- -race "$@"
else
	echo "Testing without the race detector: there is no C compiler (with one, it is used)."
fi
# Beside others on a small machine a package may take longer than the usual ten minutes.
exec "$go" test -timeout 20m "$@"

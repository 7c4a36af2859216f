#!/usr/bin/env bash
# Shows the whole path in one terminal: a receiver with its embedded NATS, the
# replayer that follows the events, and the stand-in for Alipay that sends one
# notification of every type, twice. Fails when not each of them is one event.
#
#   scripts/demo.sh [FOLDER OF THE COMMANDS]
#
# It works in a folder of its own, on ports that the kernel chooses, and leaves
# nothing behind.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$(cd "${1:-bin}" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/alipay-notify-demo.XXXXXX")
receiver='' tail=''
unset "${!ALIPAY_NOTIFY_@}" # the caller's settings are for another receiver

say() {
	local format='\n%s\n'
	[ ! -t 1 ] || format='\n\033[1m%s\033[0m\n'
	# shellcheck disable=SC2059 # the format is one of these two
	printf "$format" "$*"
}

fail() {
	echo "demo: $*" >&2
	echo "demo: the receiver's log ends with:" >&2
	tail -n 5 "$dir/receiver.log" >&2 || true
	exit 1
}

# stop ends a process that this script started, and gives its exit code.
stop() {
	kill -TERM "$1" 2>/dev/null || true
	wait "$1"
}

cleanup() {
	local code=$?
	trap - EXIT
	[ -z "$tail" ] || stop "$tail" || true
	[ -z "$receiver" ] || stop "$receiver" || true
	rm -rf "$dir"
	exit "$code"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# await COMMAND ... waits until the command succeeds, for at most 30 s, and gives
# up at once when the receiver has gone.
await() {
	local deadline=$((SECONDS + 30))
	until "$@"; do
		kill -0 "$receiver" 2>/dev/null || fail "the receiver has ended"
		[ "$SECONDS" -lt "$deadline" ] || fail "waited 30 s in vain: $*"
		sleep 0.05
	done
}
logged() { grep -q "$1" "$2" 2>/dev/null; }
ended() { ! kill -0 "$1" 2>/dev/null; }

# field NAME prints the first text field of that name, of each JSON line of stdin.
field() { awk -F "\"$1\":\"" 'NF > 1 { sub(/".*/, "", $2); print $2 }'; }

cat >"$dir/alipay-notify.yaml" <<'END'
dev: true
http: { listen: "127.0.0.1:0" }
ops:  { listen: "127.0.0.1:0" }
apps:
  - app_id: "2021000000000001"
    alipay_public_keys: [keys/alipay-public.pem]
    aes_keys: [keys/aes.key]
    private_key: keys/app-private.pem
nats: { embedded: { listen: "127.0.0.1:0", dir: nats } }
log:  { format: json }
END
export ALIPAY_NOTIFY_CONFIG=$dir/alipay-notify.yaml
"$bin/alipaysim" keys --dir "$dir/keys" -o ndjson >"$dir/keys.log"

say "The receiver starts, with its own NATS server"
"$bin/receiver" >"$dir/receiver.log" 2>&1 &
receiver=$!
await logged '"message":"listening"' "$dir/receiver.log"
line=$(grep '"message":"listening"' "$dir/receiver.log")
listen=$(field listen <<<"$line") path=$(field path <<<"$line")
echo "It takes notifications at http://$listen$path"

types=$("$bin/alipaysim" send --list -o ndjson | grep '"event":true' | field type | sort)
count=$(wc -l <<<"$types")

say "Alipay's stand-in sends each of $count types, twice; the events, as they arrive:"
"$bin/replayer" tail --limit "$count" 2>"$dir/tail.log" &
tail=$!
await logged 'waiting for events' "$dir/tail.log"
"$bin/alipaysim" send all --url "http://$listen$path" --key "$dir/keys/alipay-private.pem" \
	--duplicate 1 --no-retry -o ndjson >"$dir/sent.ndjson" 2>"$dir/send.log" || fail "$(cat "$dir/send.log")"
await ended "$tail"
wait "$tail" || fail "the replayer failed: $(cat "$dir/tail.log")"
tail=''

say "What is stored, against what was sent"
"$bin/replayer" events -o ndjson >"$dir/events.ndjson"
missing=$(comm -23 <(field notify_id <"$dir/sent.ndjson" | grep . | sort) <(field id <"$dir/events.ndjson" | sort))
[ -z "$missing" ] || fail "no event for: $missing"
[ "$(field type <"$dir/events.ndjson" | sort)" = "$types" ] || fail "want one event of each type, got: $(field type <"$dir/events.ndjson" | sort | uniq -c)"
sed 's/^alipaysim: //' "$dir/send.log"
echo "$count types, $count events: each once, none missing."

say "The receiver stops"
stop "$receiver" || { receiver=''; fail "the receiver did not stop cleanly"; }
receiver=''
logged '"message":"stopped"' "$dir/receiver.log" || fail "the receiver did not say that it stopped"
echo "Everything it acknowledged is stored."

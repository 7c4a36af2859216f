#!/bin/sh
# Makes contract/contract.go, the Go types of all events, from the JSON Schemas.
#
#   generate.sh [SCHEMAS FOLDER]            write it
#   generate.sh --check [SCHEMAS FOLDER]    only say whether it is up to date
#
# The generator is pinned here and started by `go run`, so it is no dependency of
# what it makes. It warns of the fields that may hold any JSON: these are any.
set -eu
generator=github.com/atombender/go-jsonschema@v0.24.0

check=
[ "${1:-}" != --check ] || { check=yes; shift; }
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/contract.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "${1:-$here/../../schemas}"

# type_name makes CardOpenResult of card.open_result.v1.json.
type_name() {
	basename "$1" .v1.json | awk -F '[._]' '{ for (i = 1; i <= NF; i++) printf "%s", toupper(substr($i, 1, 1)) substr($i, 2) }'
}

set --
for file in *.*.v1.json; do # entity.action
	[ "$file" != audit.record.v1.json ] || continue # no event
	id=$(sed -n 's/^ *"$id": *"\([^"]*\)".*/\1/p' "$file")
	set -- "$@" --schema-root-type "$id=$(type_name "$file")" "$file"
done
go run "$generator" --package contract --tags json --capitalization ID --output "$work/contract.go" "$@"
gofmt -w "$work/contract.go"

if [ -z "$check" ]; then
	cp "$work/contract.go" "$here/contract/contract.go"
elif ! diff -u "$here/contract/contract.go" "$work/contract.go"; then
	echo "generate.sh: contract/contract.go is not what the schemas say: run examples/go/generate.sh and commit the result" >&2
	exit 1
fi

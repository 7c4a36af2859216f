#!/bin/sh
# Checks what stands beside the product with other people's tools: the AsyncAPI
# document with the official parser, the modules of their own (examples,
# conformance, bench), and the example in Node. Needs node and npm.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
for tool in node npm; do
	command -v "$tool" >/dev/null || {
		echo "$tool is not in PATH: install it (apt-get install nodejs npm, brew install node)" >&2
		exit 1
	}
done
echo "node $(node --version), npm $(npm --version)"

# step DIR COMMAND ...
step() {
	dir=$1
	shift
	echo "$dir: $*"
	(cd "$root/$dir" && "$@")
}

for mod in */*/go.mod */go.mod; do
	[ -e "$mod" ] || continue
	dir=${mod%/go.mod}
	step "$dir" go mod verify
	step "$dir" go mod tidy -diff
	step "$dir" go vet ./...
	step "$dir" go test ./...
done

step examples/go ./generate.sh --check

step conformance/asyncapi npm ci --silent --no-audit --no-fund
step conformance/asyncapi node check.mjs
step conformance/asyncapi node --test
step conformance/cloudevents-js npm ci --silent --no-audit --no-fund

step examples/node npm ci --silent --no-audit --no-fund
step examples/node npm run --silent check
go build -o bin/nats-server github.com/nats-io/nats-server/v2
ALIPAY_NOTIFY_NATS_SERVER=$root/bin/nats-server step examples/node npm test --silent

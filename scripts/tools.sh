#!/bin/sh
# Installs the linter, in the version that is written here, unless it is there.
#
#   scripts/tools.sh                    install
#   scripts/tools.sh run COMMAND ...    run a command with the tools first in PATH
#
# The folder is $ALIPAY_NOTIFY_TOOLS, else bin/tools, which git ignores.
set -eu
cd "$(dirname "$0")/.."
golangci_lint=2.15.0

tools=${ALIPAY_NOTIFY_TOOLS:-$PWD/bin/tools}
PATH=$tools:$PATH
export PATH

if [ "${1:-}" = run ]; then
	shift
	exec "$@"
fi

have=$(golangci-lint version --short 2>/dev/null || true)
if [ "$have" != "$golangci_lint" ]; then
	echo "Installing golangci-lint $golangci_lint into $tools; this takes some minutes, once."
	GOBIN=$tools GOFLAGS='' ${GO:-go} install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$golangci_lint"
fi

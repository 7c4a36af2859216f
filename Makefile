# Everything here needs Go, git and make; what needs more says so.

GO      ?= go
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -X alipay-notify/cmd/internal/wire.Version=$(VERSION)
FUZZTIME ?= 30s

.DEFAULT_GOAL := help
.PHONY: help build run demo test lint bench bench-e2e fuzz e2e chaos conformance cover tools clean

help: ## list what can be made
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 20

build: ## build the commands into bin/
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

run: build ## run the receiver here, with development keys made on the first start
	bin/alipaysim keys --if-missing
	bin/receiver --config alipay-notify.yaml

demo: build ## show the whole path once, on ports of its own, and stop
	scripts/demo.sh bin

test: ## run all tests, with the race detector where there is a C compiler
	scripts/test.sh

lint: tools ## check style, import direction and formatting
	scripts/tools.sh run golangci-lint run ./...

bench: ## run all benchmarks (the replay of as many as ALIPAY_NOTIFY_BENCH_EVENTS=1000000)
	$(GO) test -run '^$$' -bench . -benchmem ./...

bench-e2e: ## compare with what others would write, on real servers (BENCH=full, short, size, soak)
	scripts/bench-e2e.sh $(BENCH)

fuzz: ## fuzz every target for FUZZTIME (30s)
	scripts/fuzz.sh $(FUZZTIME)

e2e: ## test the built commands against real servers (needs redis-server, node, npm, jq and curl)
	$(GO) build -o bin/nats-server github.com/nats-io/nats-server/v2
	ALIPAY_NOTIFY_NATS_SERVER=$(CURDIR)/bin/nats-server scripts/test.sh -v -tags e2e -count=1 ./e2e/...

chaos: ## break everything around two receivers, by SEED for DURATION, or play a SCENARIO (needs redis-server)
	$(GO) build -o bin/ ./chaos
	bin/chaos $(if $(SEED),-seed $(SEED)) $(if $(DURATION),-duration $(DURATION)) $(if $(SCENARIO),-scenario $(SCENARIO)) $(CHAOSFLAGS)

conformance: ## check documents and examples with other people's tools (needs node and npm)
	scripts/conformance.sh

cover: ## write coverage.out and print the total
	$(GO) test -coverpkg=./... -coverprofile=coverage.out ./...
	$(GO) tool cover -func=coverage.out | tail -1

tools: ## install the linter, once, into bin/tools
	scripts/tools.sh

clean: ## remove what was built, but neither data nor keys
	rm -rf bin coverage.out

# Two commands matter: `make run` and `make test`. The work is in scripts/.

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
export PATH := $(PATH):/usr/local/go/bin
export GOTOOLCHAIN ?= local

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z\/-]*:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: setup-run client bin/rollcall ## set up what is missing and serve on PORT (default 8000)
	@exec bin/rollcall

.PHONY: test
test: ## check everything; STEPS="unit e2e" picks some of: client build gofmt vet staticcheck unit e2e image cluster abuse simulation
	@scripts/test.sh $(STEPS)

.PHONY: build
build: setup-run client bin/rollcall ## make the static binary bin/rollcall, with what browsers load

.PHONY: client
client: ## build what browsers load, which the binary embeds
	@scripts/client.sh

.PHONY: fuzz
fuzz: ## run every fuzz target; FUZZTIME=5m for longer
	@scripts/fuzz.sh

.PHONY: conformance
conformance: ## run the official Engine.IO and Socket.IO test suites whose checkouts lie in DIR
	@CONFORMANCE=$(abspath $(DIR)) go test -count=1 -p 1 -v -run Conformance ./internal/engineio ./internal/socketio

.PHONY: image-check
image-check: ## run the Dockerfile's own commands and try their result, without Docker
	@scripts/image-check.sh

.PHONY: setup-run
setup-run:
	@scripts/setup.sh run

# Go's cache knows what has to be built again. The Dockerfile makes this target.
.PHONY: bin/rollcall
bin/rollcall:
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o $@ .

.PHONY: sbom
sbom: bin/rollcall ## write what bin/rollcall is built from to bin/rollcall.cdx.json (CycloneDX)
	@go run ./scripts/sbom bin/rollcall package-lock.json >bin/rollcall.cdx.json.new
	@mv bin/rollcall.cdx.json.new bin/rollcall.cdx.json
	@echo bin/rollcall.cdx.json

.PHONY: vulncheck
vulncheck: ## look dependencies and Go up in the vulnerability database, which has to be reachable
	@scripts/vulncheck.sh

.PHONY: faults
faults: ## mix faults at random for FAULT_SECONDS (default 600); FAULT_SEED=n repeats a run
	@scripts/setup.sh test
	FAULT_SECONDS=$(or $(FAULT_SECONDS),600) go test -race -count=1 -v -timeout 2h -run Random ./e2e/cluster

.PHONY: soak
soak: ## fuzzing, random histories and random faults for SOAK (default 1h), then the figures of the attacks; SEED=n repeats
	@scripts/soak.sh $(or $(SOAK),1h)

.PHONY: bench
bench: ## measure against the Node service; BENCH="-quick" or "-rows storm,churn -rounds 5" for less or more
	@scripts/setup.sh test
	@$(MAKE) client bin/rollcall
	@cd bench/node && npm ci --silent
	@go build -o bin/bench/ ./bench ./bench/echo
	@bin/bench/bench $(or $(BENCH),-out docs/bench)

.PHONY: clean
clean: ## remove what was built or fetched
	rm -rf bin node_modules e2e/node_modules bench/node/node_modules
	find public/dist -type f ! -name README.md -delete

.PHONY: run test race bench bench-peers bench-go lint fuzz faults soak e2e

run:            ## serve ./saga-snapshots on 127.0.0.1:7420
	go run ./cmd/snapshotd

test:           ## what the README promises
	go test ./...

race:
	go test -race ./...

bench:          ## the daemon, its ceiling, PostgreSQL and Redis where installed, on a journaled image
	.ci/bench

bench-peers:    ## installs PostgreSQL and Redis from Debian, then the same
	.ci/bench --install

bench-go:       ## micro-benchmarks, with allocations
	go test -run '^$$' -bench . -benchmem ./...

lint:           ## vet, staticcheck, golangci-lint, the OpenAPI document, the operator's kit
	.ci/lint

fuzz:           ## every fuzz target for FUZZTIME each
	.ci/fuzz $(or $(FUZZTIME),1m)

soak:           ## slow clients, then five minutes of 256 clients: needs Linux, draws soak.svg
	.ci/soak

e2e:            ## the examples against the real daemon
	examples/run

faults:         ## power cuts, failing and full disks, kills: needs Linux and root
	.ci/faults

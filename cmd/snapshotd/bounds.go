package main

import (
	"errors"
	"log/slog"
	"math"
	"net"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"snapshotd/internal/api"
)

// allowedHosts are the names that requests may be for: those of the option, and the
// one listened on.
func (o *serveOptions) allowedHosts() []string {
	names := o.AllowedHosts.list()
	for _, a := range []address{o.Listen, o.MetricsListen} {
		if host, _, err := net.SplitHostPort(string(a)); err == nil {
			if name, ok := api.ParseHost(host); ok {
				names = append(names, name)
			}
		}
	}
	return names
}

// memoryShare is how many times the memory that bodies and documents are held in
// must fit into the memory limit. To save 15 MiB takes three to five times as much, the
// body included; of single digits, which grow most when they are laid out, eleven times.
const memoryShare = 8

// limitMemory has the garbage collector work harder close to the limit of the
// cgroup, if there is one and the variable GOMEMLIMIT does not say otherwise.
func limitMemory(log *slog.Logger) {
	before := debug.SetMemoryLimit(-1)
	limit, err := memlimit.Set(memlimit.WithRatio(0.9))
	switch {
	case errors.Is(err, memlimit.ErrNoCgroup) || errors.Is(err, memlimit.ErrCgroupsNotSupported):
	case err != nil:
		log.Warn("the memory limit of the cgroup cannot be read", "err", err)
	case limit != before && limit != math.MaxInt64:
		log.Info("memory is limited", "bytes", limit, "by", "the cgroup")
	case limit != math.MaxInt64:
		log.Info("memory is limited", "bytes", limit, "by", "GOMEMLIMIT")
	}
}

// maxInFlightBytes is what the option says, or less where memory is limited, but
// enough for one body.
func (o *serveOptions) maxInFlightBytes(log *slog.Logger) int64 {
	most := max(debug.SetMemoryLimit(-1)/memoryShare, 2*int64(o.MaxBodySize))
	if most >= int64(o.MaxInFlightBytes) {
		return int64(o.MaxInFlightBytes)
	}
	log.Info("--max-in-flight-bytes is lowered to an eighth of the memory limit", "bytes", most)
	return most
}

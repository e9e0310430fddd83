package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"snapshotd/internal/access"
	"snapshotd/internal/api"
)

// The types of option values. Each says in its error what was expected; the
// option's name is put before it.

// A duration is one of Go's, with days: 90s, 1m, 30d, 1d12h. It is not negative.
type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	errWant := fmt.Errorf("a duration such as 90s, 1h30m or 30d was expected, not %q", text)
	rest := string(text)
	var days time.Duration
	if number, after, ok := strings.Cut(rest, "d"); ok {
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil {
			return errWant
		}
		const day = 24 * time.Hour
		if n > uint64(math.MaxInt64/day) {
			return fmt.Errorf("a duration of at most %d days was expected, not %q", math.MaxInt64/day, text)
		}
		days, rest = time.Duration(n)*day, after
		if rest == "" {
			rest = "0"
		}
	}
	parsed, err := time.ParseDuration(rest)
	if err != nil || parsed < 0 || strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "+") {
		return errWant
	}
	if parsed > math.MaxInt64-days {
		return fmt.Errorf("a shorter duration than %q was expected", text)
	}
	*d = duration(days + parsed)
	return nil
}

// A size is a number of bytes, at least 1: 4096, 64KiB, 16MiB, 10MB.
type size int64

func (s *size) UnmarshalText(text []byte) error {
	digits := strings.TrimRight(string(text), "BKMGTibkmgt")
	unit, known := map[string]int64{
		"": 1, "b": 1,
		"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
		"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
	}[strings.ToLower(string(text[len(digits):]))]
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || !known || n == 0 || int64(n) > math.MaxInt64/unit {
		return fmt.Errorf("a size of at least one byte was expected, such as 65536, 64KiB, 16MiB or 10MB, not %q", text)
	}
	*s = size(int64(n) * unit)
	return nil
}

// A count is a whole number from 0 on.
type count int

func (c *count) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 31)
	if err != nil {
		return fmt.Errorf("a whole number from 0 on was expected, not %q", text)
	}
	*c = count(n)
	return nil
}

// A directory is a path that is not empty.
type directory string

func (d *directory) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("the path of a directory was expected, not an empty text")
	}
	*d = directory(text)
	return nil
}

// A file is a path that is not empty.
type file string

func (f *file) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("the path of a file was expected, not an empty text")
	}
	*f = file(text)
	return nil
}

// An address is a host, perhaps empty, and a port; port 0 lets the system choose.
type address string

func (a *address) UnmarshalText(text []byte) error {
	_, port, err := net.SplitHostPort(string(text))
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("a host and a port were expected, such as 127.0.0.1:7420 or [::1]:7420, not %q", text)
	}
	*a = address(text)
	return nil
}

// loopback reports whether only this machine can reach the address.
func (a address) loopback() bool {
	host, _, err := net.SplitHostPort(string(a))
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// A tokenRate is spelled as a number of requests a second and one of those at
// once: 50:200. Without the second it is the first, rounded up; 0 = no bound.
type tokenRate access.Rate

func (r *tokenRate) UnmarshalText(text []byte) error {
	errWant := fmt.Errorf("a number of requests a second was expected, perhaps with one of requests at once, such as 50, 0.5 or 50:200, not %q", text)
	second, burst, both := strings.Cut(string(text), ":")
	n, err := strconv.ParseFloat(second, 64)
	if err != nil || !(n >= 0 && n <= 1e6) || both && n == 0 {
		return errWant
	}
	*r = tokenRate{PerSecond: n, Burst: int(math.Ceil(n))}
	if !both {
		return nil
	}
	b, err := strconv.ParseUint(burst, 10, 31)
	if err != nil || b == 0 {
		return errWant
	}
	r.Burst = int(b)
	return nil
}

// pointers are JSON pointers below the context or the external references of a
// snapshot, separated by commas.
type pointers []string

func (p *pointers) UnmarshalText(text []byte) error {
	for pointer := range strings.SplitSeq(string(text), ",") {
		pointer = strings.TrimSpace(pointer)
		if !api.Redactable(pointer) {
			return fmt.Errorf("JSON pointers below /context or /external_refs were expected, such as /context/card/number, not %q", pointer)
		}
		*p = append(*p, pointer)
	}
	return nil
}

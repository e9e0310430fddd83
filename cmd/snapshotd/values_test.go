package main

import (
	"math"
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "0d": 0, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "250ms": 250 * time.Millisecond,
		"1.5h": 90 * time.Minute, "30d": 30 * day, "1d12h": 36 * time.Hour, "106751d": 106751 * day,
	} {
		var d duration
		if err := d.UnmarshalText([]byte(text)); err != nil || time.Duration(d) != want {
			t.Errorf("%q is %v, %v, not %v", text, time.Duration(d), err, want)
		}
	}
	for _, text := range []string{
		"", "d", "30", "-1s", "-1d", "+1s", "1d-1h", "1d+1h", "1d12", "1.5d", "1h1d", "d1h", " 1h", "1 d", "1y",
		"106752d", "106751d24h", "99999999999999999999d", "99999999999h",
	} {
		var d duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted as %v", text, time.Duration(d))
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "4096": 4096, "1B": 1, "64KiB": 64 << 10, "64kib": 64 << 10, "16MiB": 16 << 20, "10MB": 10e6, "10kb": 10e3,
		"1GiB": 1 << 30, "2TB": 2e12, "9223372036854775807": math.MaxInt64,
	} {
		var s size
		if err := s.UnmarshalText([]byte(text)); err != nil || int64(s) != want {
			t.Errorf("%q is %d, %v, not %d", text, s, err, want)
		}
	}
	for _, text := range []string{
		"", "0", "0MiB", "-1", "+1", "1M", "1K", "1.5MiB", "16 MiB", "MiB", "1MiBB", "1XB", "0x10", "1_000",
		"9223372036854775808", "8388608TiB",
	} {
		var s size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted as %d", text, s)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, text := range []string{"127.0.0.1:7420", ":7420", "0.0.0.0:0", "[::1]:7420", "localhost:80", "snapshotd.internal:65535"} {
		if err := new(address).UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", "7420", "localhost", "::1:7420", "localhost:", "localhost:-1", "localhost:65536", "localhost:http", "http://localhost:80"} {
		if err := new(address).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestHealthcheckTarget(t *testing.T) {
	for _, test := range []struct {
		options healthcheckOptions
		want    string
	}{
		{healthcheckOptions{Listen: "127.0.0.1:7420"}, "http://127.0.0.1:7420/healthz"},
		{healthcheckOptions{Listen: "0.0.0.0:7420"}, "http://127.0.0.1:7420/healthz"},
		{healthcheckOptions{Listen: ":80"}, "http://127.0.0.1:80/healthz"},
		{healthcheckOptions{Listen: "[::]:80"}, "http://[::1]:80/healthz"},
		{healthcheckOptions{Listen: "[::1]:80"}, "http://[::1]:80/healthz"},
		{healthcheckOptions{Listen: "sagas.example:80"}, "http://sagas.example:80/healthz"},
		{healthcheckOptions{URL: "https://sagas.example", Listen: ":80"}, "https://sagas.example/healthz"},
		{healthcheckOptions{URL: "http://sagas.example/readyz"}, "http://sagas.example/readyz"},
	} {
		if got, err := test.options.target(); err != nil || got != test.want {
			t.Errorf("%+v asks %s, %v, not %s", test.options, got, err, test.want)
		}
	}
}

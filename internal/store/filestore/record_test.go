package filestore

import (
	"bytes"
	"testing"
)

// FuzzParseRecord: what a record of the log names is a file of ours, whatever the
// log holds.
func FuzzParseRecord(f *testing.F) {
	name := "snapshots/0b8f0d5c-6f6e-4a0e-9d0e-000000000001/0b8f0d5c-6f6e-4a0e-9d0e-000000000002.json"
	for _, seed := range []string{
		"", "w", "w\x02ab", "x\x00", "w\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "w" + string(rune(len(name))) + name + "{}",
		"r\x11../../etc/passwd.", "k\x05a/../", "w\x13replays/../x.json\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		c, name, data, err := parseRecord(record)
		if err != nil {
			return
		}
		if !isOurs(name) || bytes.Contains([]byte(name), []byte("..")) || name[0] == '/' {
			t.Fatalf("%q is taken for a file of ours", name)
		}
		if c != changeWrite && c != changeRemove && c != changeKeep || len(data) > len(record) {
			t.Fatalf("%q, %d bytes of %d", c, len(data), len(record))
		}
	})
}

package api_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"snapshotd/internal/store"
	"snapshotd/internal/store/filestore"
)

// A counting store counts what is read of the documents that it finds by their ids.
type counting struct {
	store.Store
	read atomic.Int64
}

func (c *counting) Get(ctx context.Context, id uuid.UUID) (*store.Item, error) {
	item, err := c.Store.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	open := item.Open
	item.Open = func(ctx context.Context, gzipped bool) (*store.Document, error) {
		doc, err := open(ctx, gzipped)
		if err == nil && doc.File != nil {
			doc.File = counted{doc.File, &c.read}
		}
		return doc, err
	}
	return item, nil
}

type counted struct {
	io.ReadCloser
	read *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// A document too large to be kept is not read to tell a client that it has it: its
// hash is kept, for as long as the file is as it was.
func TestConditionalGetOfLargeDocuments(t *testing.T) {
	for _, size := range []int{300 << 10, 1040 << 10} {
		for _, compress := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d KiB, compressed %v", size>>10, compress), func(t *testing.T) {
				dir := t.TempDir()
				c := &counting{Store: openDirectory(t, filestore.Config{BasePath: dir, Compress: compress, Cache: 1 << 20})}
				w := newWorld(t, c)
				path := "/v1/snapshots/" + snapshotID(1)
				text := hex(size)
				w.do("PUT", path, whole("context", `{"text": "`+text+`"}`)).is(201)
				file := filepath.Join(dir, "snapshots", sagaID(1), snapshotID(1)+".json")
				tags := map[string]string{}
				for _, accepted := range []string{"", "gzip", "zstd"} {
					tag := w.get(path, "Accept-Encoding", accepted).is(200).header.Get("ETag")
					tags[accepted] = tag
					c.read.Store(0)
					w.get(path, "Accept-Encoding", accepted, "If-None-Match", tag).is(304).has("ETag", tag).has("Content-Encoding", "")
					w.do("HEAD", path, "", "Accept-Encoding", accepted, "If-None-Match", tag).is(304).has("ETag", tag)
					if n := c.read.Load(); n > 0 {
						t.Errorf("%q: %d bytes were read", accepted, n)
					}
				}
				w.get(path, "If-None-Match", `"x"`).is(200).has("ETag", tags[""])
				w.get(path, "If-None-Match", tags[""]).is(304)

				other := strings.Replace(text, text[size/2:], strings.Repeat("0", size-size/2), 1)
				if compress {
					file += ".gz"
				} else if err := inPlace(file, text, other); err != nil {
					t.Fatal(err)
				} else if body := w.get(path, "If-None-Match", tags[""]).is(200).body; !strings.Contains(body, other) {
					t.Error("not what the file holds now")
				}
				w.do("DELETE", path, "").is(204)
				w.do("PUT", path, whole("context", `{"text": "`+other[1:]+`1"}`)).is(201)
				w.get(path, "If-None-Match", strings.Join([]string{tags[""], tags["gzip"], tags["zstd"]}, ", ")).is(200)
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
				w.get(path, "If-None-Match", "*").problem(404, "snapshot_not_found")
			})
		}
	}
}

// hex makes a text of n characters that does not get shorter than half of it.
func hex(n int) string {
	random := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "%016x", random.Uint64())
	}
	return b.String()[:n]
}

// inPlace writes over a part of a file.
func inPlace(file, was, is string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(strings.Replace(string(text), was, is, 1)), 0o600)
}

package archive_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"snapshotd/internal/archive"
	"snapshotd/internal/saga"
	"snapshotd/internal/store"
)

// What the client leaves out is the server's to fill in.
func TestSaveFillsInIDAndTime(t *testing.T) {
	w := newWorld(t)
	r, created, err := w.Save(t.Context(), draft(t, orders, ""), false)
	if err != nil || !created {
		t.Fatalf("created %t, %v", created, err)
	}
	if r.ID != nth(1001) || r.SagaID != orders || r.CreatedAt.String() != noon || r.RetentionUntil != saga.Never {
		t.Errorf("receipt %+v", r)
	}
	w.wantHeard("saved created true")

	item, err := w.Snapshot(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := item.Open(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(doc)
	if err := errors.Join(err, doc.Close()); err != nil {
		t.Fatal(err)
	}
	want := `{"snapshot_id":"` + nth(1001).String() + `","saga_id":"` + orders.String() + `","saga_name":"order","step_name":"charge",` +
		`"step_index":1,"status":"executing","context":{"amount":1.0,"who":"ann"},"completed_steps":[],"external_refs":{},` +
		`"created_at":"` + noon + `","retention_until":null}` + "\n"
	if string(text) != want {
		t.Errorf("stored\n%s\nwant\n%s", text, want)
	}
	if r.SizeBytes != int64(len(want)) || item.SizeBytes != r.SizeBytes {
		t.Errorf("%d bytes in the receipt, %d in the summary, want %d", r.SizeBytes, item.SizeBytes, len(want))
	}
}

func TestSaveLaysOutForPeople(t *testing.T) {
	w := newWorld(t, func(c *archive.Config) { c.Indent = true })
	var doc []byte
	w.store.put = func(ctx context.Context, s *saga.Summary, text []byte) (int64, error) {
		doc = bytes.Clone(text)
		return w.store.Store.Put(ctx, s, text)
	}
	w.save(orders, 1, "")
	if !bytes.HasPrefix(doc, []byte("{\n  \"snapshot_id\": \"")) || !bytes.HasSuffix(doc, []byte("\n}\n")) {
		t.Errorf("stored %q", doc)
	}
}

func TestDefaultParts(t *testing.T) {
	w := newWorld(t)
	a := archive.New(archive.Config{Store: w.store})
	r, created, err := a.Save(t.Context(), draft(t, orders, ""), false)
	if err != nil || !created || r.ID.Version() != 7 || r.CreatedAt < moment(t, noon) {
		t.Errorf("saved %+v, %t, %v", r, created, err)
	}
	if err := a.DeleteSnapshot(t.Context(), r.ID); err != nil {
		t.Error(err)
	}
}

// A retry of the same content is acknowledged with what is stored, also when it
// leaves times to the server; other content is a conflict.
func TestSaveAgain(t *testing.T) {
	w := newWorld(t, func(c *archive.Config) { c.DefaultRetention = time.Hour })
	first := w.save(orders, 1, "")
	w.forget()
	w.pass(time.Minute)
	for _, tt := range []struct {
		fields string
		same   bool
	}{
		{``, true},
		{`"context": {"amount" : 1.0, "who":"ann"}`, true},
		{`"created_at":"2026-03-01T13:00:00.0000009+01:00"`, true},
		{`"retention_until":"2026-03-01T13:00:00Z"`, true},
		{`"context":{"amount":1,"who":"ann"}`, false},
		{`"context":{"who":"ann","amount":1.0}`, false},
		{`"created_at":"2026-03-01T12:01:00Z"`, false},
		{`"retention_until":null`, false},
		{`"status":"failed"`, false},
	} {
		for _, createOnly := range []bool{false, true} {
			d := draft(t, orders, tt.fields)
			d.ID, d.HasID = nth(1), true
			r, created, err := w.Save(t.Context(), d, createOnly)
			switch {
			case createOnly:
				if !errors.Is(err, saga.ErrPrecondition) || created {
					t.Errorf("%s, create only: %t, %v", tt.fields, created, err)
				}
				w.wantHeard("saved conflict false")
			case tt.same:
				if err != nil || created || *r != *first {
					t.Errorf("%s: %+v, %t, %v, want %+v", tt.fields, r, created, err, first)
				}
				w.wantHeard("saved unchanged false")
			default:
				if !errors.Is(err, saga.ErrConflict) || created {
					t.Errorf("%s: %t, %v", tt.fields, created, err)
				}
				w.wantHeard("saved conflict false")
			}
		}
	}
	elsewhere := draft(t, refunds, "")
	elsewhere.ID, elsewhere.HasID = nth(1), true
	if _, _, err := w.Save(t.Context(), elsewhere, false); !errors.Is(err, saga.ErrConflict) {
		t.Errorf("the id under another saga: %v", err)
	}
	w.wantIDs(orders, 1)

	// Deleted, the id is free.
	if err := w.DeleteSnapshot(t.Context(), nth(1)); err != nil {
		t.Fatal(err)
	}
	w.save(refunds, 1, `"status":"failed"`)
}

func TestDefaultRetention(t *testing.T) {
	w := newWorld(t, func(c *archive.Config) { c.DefaultRetention = 24 * time.Hour })
	for i, tt := range []struct{ fields, want string }{
		{``, `"2026-03-02T12:00:00+00:00"`},
		{`"created_at":"2026-02-01T00:00:00Z"`, `"2026-03-02T12:00:00+00:00"`}, // a backfill stays its time
		{`"retention_until":null`, `null`},
		{`"retention_until":"1999-12-31T23:59:59Z"`, `"1999-12-31T23:59:59+00:00"`},
	} {
		r := w.save(orders, i+1, tt.fields)
		if got := string(r.RetentionUntil.AppendJSON(nil)); got != tt.want {
			t.Errorf("%s is kept until %s, want %s", tt.fields, got, tt.want)
		}
	}
}

// One in the past is accepted, visible, and goes with the next clean-up.
func TestRetentionInThePast(t *testing.T) {
	w := newWorld(t)
	w.save(orders, 1, `"retention_until":"2026-02-28T00:00:00Z"`)
	w.save(orders, 2, `"created_at":"2026-02-01T00:00:00Z"`)
	w.wantIDs(orders, 1, 2)
	if _, err := w.Latest(t.Context(), &saga.Query{SagaID: valid(orders)}); err != nil {
		t.Error(err)
	}
	if c, err := w.CleanUp(t.Context(), false); err != nil || c.Deleted != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	w.wantIDs(orders, 2)
}

func TestMaxPerSaga(t *testing.T) {
	w := newWorld(t, func(c *archive.Config) { c.MaxPerSaga = 3 })
	for i := range 3 {
		w.pass(time.Second)
		w.save(orders, i+1, "")
		w.save(refunds, i+11, "")
	}
	w.forget()
	w.pass(time.Second)
	w.save(orders, 4, "")
	w.wantIDs(orders, 4, 3, 2)
	w.wantIDs(refunds, 13, 12, 11)
	w.wantHeard("saved created true", "deleted max_per_saga 1")
	w.wantLogged(`msg="snapshots deleted"`, "reason=max_per_saga", "count=1", "remaining=0", "saga_id="+orders.String())

	// One that is back-dated beyond the limit goes at once, and was saved.
	r := w.save(orders, 5, `"created_at":"2020-01-01T00:00:00Z"`)
	if r.ID != nth(5) {
		t.Errorf("receipt %+v", r)
	}
	w.wantIDs(orders, 4, 3, 2)
	w.forget()

	// A save that changes nothing trims nothing.
	d := draft(t, orders, "")
	d.ID, d.HasID = nth(4), true
	if _, created, err := w.Save(t.Context(), d, false); err != nil || created {
		t.Errorf("again: %t, %v", created, err)
	}
	w.wantHeard("saved unchanged false")
}

// No limit means that all stay, whatever its sign.
func TestNoMaxPerSaga(t *testing.T) {
	for _, limit := range []int{0, -1} {
		w := newWorld(t, func(c *archive.Config) { c.MaxPerSaga = limit })
		w.save(orders, 1, "")
		w.save(orders, 2, "")
		w.wantIDs(orders, 2, 1)
	}
}

// The save has been acknowledged: that trimming fails is not its failure, and its
// client's going away does not stop the trimming.
func TestTrimmingIsApartFromItsSave(t *testing.T) {
	w := newWorld(t, func(c *archive.Config) { c.MaxPerSaga = 1 })
	w.save(orders, 1, "")
	w.pass(time.Second)
	w.store.deleteMany = func(context.Context, *store.Selection) (*store.Deletion, error) { return nil, saga.ErrReadOnly }
	w.save(orders, 2, "")
	w.wantIDs(orders, 2, 1)
	w.wantLogged("level=ERROR", "trimming a saga failed", orders.String(), saga.ErrReadOnly.Error())

	w.store.deleteMany = nil
	w.pass(time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	w.store.put = func(_ context.Context, s *saga.Summary, doc []byte) (int64, error) {
		defer cancel()
		return w.store.Store.Put(ctx, s, doc)
	}
	if _, created, err := w.Save(ctx, draft(t, orders, ""), false); err != nil || !created {
		t.Errorf("created %t, %v", created, err)
	}
	w.wantIDs(orders, 1001)
}

func TestSaveFails(t *testing.T) {
	w := newWorld(t)
	w.save(orders, 1, "")
	again := draft(t, orders, "")
	again.ID, again.HasID = nth(1), true
	for _, want := range []error{saga.ErrNoSpace, saga.ErrOutcomeUnknown, saga.ErrDegraded} {
		w.forget()
		w.store.put = func(context.Context, *saga.Summary, []byte) (int64, error) { return 0, want }
		if r, created, err := w.Save(t.Context(), again, false); !errors.Is(err, want) || created || r != nil {
			t.Errorf("%v: %+v, %t, %v", want, r, created, err)
		}
		w.wantHeard("saved error false")
	}
	w.store.put = nil

	// What is there cannot be compared.
	w.store.get = w.openAs(func(context.Context, bool) (*store.Document, error) {
		return &store.Document{File: io.NopCloser(bytes.NewReader([]byte("{")))}, nil
	})
	var corrupt *saga.CorruptError
	if _, _, err := w.Save(t.Context(), again, false); !errors.As(err, &corrupt) || corrupt.ID != nth(1) || !errors.Is(err, saga.ErrCorrupt) {
		t.Errorf("over an unreadable one: %v", err)
	}
	cause := errors.New("bad sector")
	w.store.get = w.openAs(func(context.Context, bool) (*store.Document, error) { return nil, cause })
	if _, _, err := w.Save(t.Context(), again, false); !errors.Is(err, cause) {
		t.Errorf("over one that cannot be opened: %v", err)
	}

	// Deleted between the put and the comparison, the id is free after all.
	w.store.get = w.openAs(func(ctx context.Context, _ bool) (*store.Document, error) {
		if err := w.DeleteSnapshot(ctx, nth(1)); err != nil {
			t.Error(err)
		}
		return nil, saga.ErrSnapshotNotFound
	})
	if _, created, err := w.Save(t.Context(), again, false); err != nil || !created {
		t.Errorf("created %t, %v", created, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := w.Save(ctx, again, false); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// Of many saves of one id at once one creates, and the same content is well.
func TestSaveOneIDAtOnce(t *testing.T) {
	w := newWorld(t)
	const each = 8
	var wg sync.WaitGroup
	var mu sync.Mutex
	results := map[string]int{}
	for i := range 2 * each {
		wg.Go(func() {
			d := draft(t, orders, []string{`"status":"executing"`, `"status":"failed"`}[i%2])
			d.ID, d.HasID = nth(1), true
			_, created, err := w.Save(t.Context(), d, false)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case created && err == nil:
				results["created"]++
			case err == nil:
				results["same"]++
			case errors.Is(err, saga.ErrConflict):
				results["conflict"]++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if results["created"] != 1 || results["same"] != each-1 || results["conflict"] != each {
		t.Errorf("%v", results)
	}
}

package saga_test

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"snapshotd/internal/saga"
)

// nth is the n-th id, counted in their order.
func nth(n int) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

// anyPosition draws from few values, so that they meet.
var anyPosition = rapid.Custom(func(t *rapid.T) saga.Position {
	return saga.Position{
		CreatedAt: saga.Time(rapid.SampledFrom([]int64{-1_000_000, -1, 0, 1, 1_000_000}).Draw(t, "created")),
		StepIndex: rapid.Int32Range(0, 2).Draw(t, "step"),
		ID:        uuid.UUID{0: rapid.SampledFrom([]byte{0, 0x7f, 0x80, 0xff}).Draw(t, "first"), 15: rapid.Byte().Draw(t, "last")},
	}
})

// By time, then step, then id, and by nothing else.
func TestPositionsAreInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(anyPosition, 3, 12).Draw(t, "positions")
		for _, p := range list {
			for _, q := range list {
				want := cmp.Or(
					cmp.Compare(p.CreatedAt, q.CreatedAt),
					cmp.Compare(p.StepIndex, q.StepIndex),
					strings.Compare(p.ID.String(), q.ID.String()),
				)
				if got := p.Compare(q); got != want {
					t.Fatalf("%v to %v is %d, want %d", p, q, got, want)
				}
				if p.Compare(q) != -q.Compare(p) || (p.Compare(q) == 0) != (p == q) {
					t.Fatalf("%v and %v: no order", p, q)
				}
			}
		}
		// A list read backwards is the exact reverse.
		down := slices.SortedFunc(slices.Values(list), func(p, q saga.Position) int { return q.Compare(p) })
		slices.SortFunc(list, saga.Position.Compare)
		slices.Reverse(down)
		if !slices.Equal(list, down) {
			t.Fatalf("up %v, down %v", list, down)
		}
	})
}

func TestPositionsOfRecords(t *testing.T) {
	snapshot := saga.Summary{ID: nth(1), CreatedAt: 7, StepIndex: 3}
	if got, want := snapshot.Position(), (saga.Position{CreatedAt: 7, StepIndex: 3, ID: nth(1)}); got != want {
		t.Errorf("a snapshot stands at %v, want %v", got, want)
	}
	replay := saga.Replay{ID: nth(2), CreatedAt: 8}
	if got, want := replay.Position(), (saga.Position{CreatedAt: 8, ID: nth(2)}); got != want {
		t.Errorf("a replay stands at %v, want %v", got, want)
	}
	whole := saga.Saga{ID: nth(3), FirstCreatedAt: 1, LastCreatedAt: 9, LastStepIndex: 4, LastSnapshotID: nth(5)}
	if got, want := whole.Position(), (saga.Position{CreatedAt: 9, StepIndex: 4, ID: nth(5)}); got != want {
		t.Errorf("a saga stands at %v, want %v", got, want)
	}
}

func TestParseID(t *testing.T) {
	const lower = "018f4e0a-7d2b-7c3e-9a51-0c2f6f1d2b3a"
	for text, want := range map[string]string{
		lower:                                  lower,
		"018F4E0A-7D2B-7C3E-9A51-0C2F6F1D2B3A": lower,
		"018f4E0a-7d2b-7c3e-9A51-0c2f6f1d2b3a": lower,
		"00000000-0000-0000-0000-000000000000": "00000000-0000-0000-0000-000000000000",
		"ffffffff-ffff-ffff-ffff-ffffffffffff": "ffffffff-ffff-ffff-ffff-ffffffffffff",

		"018f4e0a7d2b7c3e9a510c2f6f1d2b3a":              "",
		"{018f4e0a-7d2b-7c3e-9a51-0c2f6f1d2b3a}":        "",
		"urn:uuid:018f4e0a-7d2b-7c3e-9a51-0c2f6f1d2b3a": "",
		"018f4e0a-7d2b-7c3e-9a51-0c2f6f1d2b3":           "",
		"018f4e0a-7d2b-7c3e-9a51-0c2f6f1d2b3a ":         "",
		" 018f4e0a-7d2b-7c3e-9a51-0c2f6f1d2b3":          "",
		"018f4e0a-7d2b-7c3e-9a51_0c2f6f1d2b3a":          "",
		"018f4e0a7-d2b-7c3e-9a51-0c2f6f1d2b3a":          "",
		"018f4e0g-7d2b-7c3e-9a51-0c2f6f1d2b3a":          "",
		"018f4e0a-7d2b-7c3e-9a51-0c2f6f1d2b\u00e9":      "",
		"../../../../../../../../../../etc/pa":          "",
		"":                                              "",
	} {
		id, err := saga.ParseID(text)
		if (err == nil) != (want != "") || err == nil && id.String() != want {
			t.Errorf("%q = %s, %v, want %q", text, id, err, want)
		}
		if err != nil && id != uuid.Nil {
			t.Errorf("%q is refused, but answered as %s", text, id)
		}
	}
}

// FuzzParseID: what is accepted is the id's own text, but for the case.
func FuzzParseID(f *testing.F) {
	for _, text := range []string{
		"018f4e0a-7d2b-7c3e-9a51-0c2f6f1d2b3a", "018F4E0A-7D2B-7C3E-9A51-0C2F6F1D2B3A", "018f4e0a7d2b7c3e9a510c2f6f1d2b3a",
		"{018f4e0a-7d2b-7c3e-9a51-0c2f6f1d2b3a}", "urn:uuid:018f4e0a-7d2b-7c3e-9a51-0c2f6f1d2b3a", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := saga.ParseID(text)
		if err == nil && strings.ToLower(text) != id.String() {
			t.Fatalf("%q is accepted as %s", text, id)
		}
		if other, err2 := uuid.Parse(text); err != nil && err2 == nil && strings.EqualFold(text, other.String()) {
			t.Fatalf("%q is refused: %v", text, err)
		}
	})
}

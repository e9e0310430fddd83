package filestore

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

// On a filesystem that counts whole seconds a directory is trusted later, lest a
// change within the same second go unseen.
func TestSettled(t *testing.T) {
	const settling = 500 * time.Millisecond
	fine, coarse := time.Unix(100, 1), time.Unix(100, 0)
	for _, tt := range []struct {
		changed time.Time
		after   time.Duration
		want    bool
	}{
		{fine, 400 * time.Millisecond, false},
		{fine, 600 * time.Millisecond, true},
		{coarse, 600 * time.Millisecond, false},
		{coarse, 2 * time.Second, false}, // FAT counts in twos
		{coarse, 2600 * time.Millisecond, true},
		{fine, -time.Second, false}, // the clock was set back
	} {
		if got := isSettled(tt.changed.UnixNano(), tt.changed.Add(tt.after), settling); got != tt.want {
			t.Errorf("%v after %v it is %t", tt.after, tt.changed, got)
		}
	}
}

// A file that has been deleted while it was read is not remembered.
func TestForgottenWhileRead(t *testing.T) {
	c := cache{limit: 1 << 20}
	id, state := uuid.New(), fileState{size: 2, modified: 1}
	_, forgotten := c.find(id, state)
	c.forget(id)
	c.keep(&cached{id: id, state: state, data: []byte("v1")}, forgotten)
	if f, _ := c.find(id, state); f != nil {
		t.Errorf("%s is remembered", f.data)
	}
	_, forgotten = c.find(id, state)
	c.keep(&cached{id: id, state: state, data: []byte("v2")}, forgotten)
	if f, _ := c.find(id, state); f == nil || string(f.data) != "v2" {
		t.Error("what was read in peace is not remembered")
	}
}

package memstore_test

import (
	"testing"

	"go.uber.org/goleak"

	"snapshotd/internal/store"
	"snapshotd/internal/store/memstore"
	"snapshotd/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// There is nothing to reopen, and no document to get at from outside.
var harness = storetest.Harness{Open: func(*testing.T) store.Store { return memstore.New() }}

func TestStore(t *testing.T) { storetest.Run(t, harness) }

func TestModel(t *testing.T) { storetest.RunModel(t, harness) }

func TestType(t *testing.T) {
	stats, err := memstore.New().Stats(t.Context(), 0)
	if err != nil || stats.Type != "memory" || stats.BasePath != "" || stats.Gzip {
		t.Errorf("%+v, %v", stats, err)
	}
}

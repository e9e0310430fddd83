package filestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/google/uuid"

	"snapshotd/internal/store/catalog"
)

// checkIndexes compares the indexes with what checkSagas has found.
func (v *verifier) checkIndexes(ctx context.Context) error {
	err := v.eachEntry(ctx, v.disk.indexes(), func(e fs.DirEntry) error {
		path := filepath.Join(v.disk.indexes(), e.Name())
		id, gzip, ok := parseName(e.Name())
		switch {
		case !ok || gzip:
			v.foundForeign(path)
		case v.live[id]:
			v.checkIndex(id)
		case v.robbed[id]:
			return v.quarantine(path) // with what it told of
		default:
			v.found(KindIndex, path, "the index of a saga that has nothing else", toQuarantine, func() error { return v.quarantine(path) })
		}
		return nil
	})
	if err != nil {
		return err
	}
	for id := range v.live {
		path := v.disk.index(id)
		if !exists(path) && len(v.catalog.Snapshots(id)) > 0 {
			v.found(KindIndex, path, "the index of a saga is missing", "write it", func() error { return v.indexer.write(id) })
		}
	}
	return ctx.Err()
}

func (v *verifier) checkIndex(id uuid.UUID) {
	path := v.disk.index(id)
	if !isDirectory(path) {
		v.checkMode(path, v.disk.fileMode)
	}
	records := v.catalog.Snapshots(id)
	x, err := readIndex(path)
	var why string
	switch {
	case errors.Is(err, errNotRegular):
		v.found(KindIndex, path, err.Error(), toQuarantine+" and write it again", func() error {
			if err := v.quarantine(path); err != nil {
				return err
			}
			return v.indexer.write(id)
		})
		return
	case err != nil:
		why = "it cannot be read: " + err.Error()
	default:
		if why = x.wrongFor(id, records); why == "" {
			why = x.lie(records)
		}
	}
	if why != "" {
		v.found(KindIndex, path, why, "write it again", func() error { return v.indexer.write(id) })
	}
}

// lie says what an index that opening would trust says wrongly of a file; "" if
// nothing. The records have been read from the files.
func (x *index) lie(records []catalog.Record) string {
	entries := make(map[uuid.UUID]*indexEntry, len(x.Snapshots))
	for i := range x.Snapshots {
		entries[x.Snapshots[i].ID.UUID] = &x.Snapshots[i]
	}
	for i := range records {
		r := &records[i]
		e := entries[r.ID]
		if e == nil || e.ModifiedNS == 0 || e.ModifiedNS != r.Modified || e.SizeBytes != r.SizeBytes {
			continue
		}
		if said := e.record(r.SagaID, r.GzipName); said != nil && *said != *r {
			return fmt.Sprintf("what it says of %s is not what the file says", r.ID)
		}
	}
	return ""
}

package filestore

import (
	"encoding/binary"
	"errors"
	"fmt"

	"snapshotd/internal/store/filestore/wal"
)

// What a record of the log says of a file.
type change byte

const (
	changeWrite  change = 'w' // it holds these bytes
	changeRemove change = 'r' // it is gone
	changeKeep   change = 'k' // it is as it is: what the log says of it before no longer counts
)

// append hands the record of a change to the log: the kind, the name behind its
// length, the data.
func (j *journal) append(c change, name string, data []byte) (wal.Ticket, error) {
	var head [128]byte
	record := append(head[:0], byte(c))
	record = binary.AppendUvarint(record, uint64(len(name)))
	record = append(record, name...)
	return j.log.Append(record, data)
}

func recordSize(name string, data []byte) int {
	return 1 + binary.MaxVarintLen64 + len(name) + len(data)
}

func parseRecord(record []byte) (c change, name string, data []byte, err error) {
	if len(record) == 0 {
		return 0, "", nil, errors.New("an empty record")
	}
	length, n := binary.Uvarint(record[1:])
	if n <= 0 || length > uint64(len(record)-1-n) {
		return 0, "", nil, errors.New("a record without a name")
	}
	rest := record[1+n:]
	c, name, data = change(record[0]), string(rest[:length]), rest[length:]
	if c != changeWrite && c != changeRemove && c != changeKeep {
		return 0, "", nil, fmt.Errorf("a record of unknown kind %q", c)
	}
	if !isOurs(name) {
		return 0, "", nil, fmt.Errorf("a record about %q, which is no file of ours", name)
	}
	return c, name, data, nil
}

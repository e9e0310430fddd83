package filestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"snapshotd/internal/store/filestore/failpoint"
	"snapshotd/internal/store/filestore/wal"
)

// Sizes of the log, and how long its records may wait for their files to be
// synced.
const (
	segmentSize     = 8 << 20
	segmentSizeMin  = 256 << 10 // on a small disk: a segment takes at most 1/64 of what is free
	segmentsAhead   = 8
	checkpointAfter = 5 * time.Second
)

// What a record of the log says of a file.
type change byte

const (
	changeWrite  change = 'w' // it holds these bytes
	changeRemove change = 'r' // it is gone
	changeKeep   change = 'k' // it is as it is: what the log says of it before no longer counts
)

// A journal makes changes of files durable: through the log, or one by one where
// that does not serve. Paths are relative to the base directory. The caller
// makes sure that no two changes of one file happen at once.
//
// A nil log means relaxed durability: nothing is synced at all.
type journal struct {
	disk *disk
	log  *wal.Log
	fail func(error) // told of a failed sync

	// A change holds applying for reading from before its record is appended until
	// its files are in place; so while a checkpoint holds it, every record's files are.
	applying sync.RWMutex
	settling sync.Mutex // one checkpoint at a time
	unsynced error      // why one failed: after that none may succeed, for its sync would tell nothing
	wake     chan struct{}
	stop     chan struct{}
	done     sync.WaitGroup
}

func (j *journal) start() {
	if j.log != nil {
		j.done.Go(j.run)
	}
}

// nudge asks for a checkpoint.
func (j *journal) nudge() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

func (j *journal) run() {
	for {
		select {
		case <-j.wake:
		case <-time.After(checkpointAfter):
		case <-j.stop:
			return
		}
		if err := j.checkpoint(); err != nil && isSyncFailure(err) {
			j.fail(err)
			return
		}
	}
}

// isSyncFailure tells a failed sync, after which nothing may be trusted, from an
// error after which one may go on.
func isSyncFailure(err error) bool {
	var sync syncError
	var failed *wal.FailedError
	return errors.As(err, &sync) || errors.As(err, &failed)
}

// checkpoint brings the files behind the log to stable storage, so that its
// segments can be used anew.
func (j *journal) checkpoint() error {
	j.settling.Lock()
	defer j.settling.Unlock()
	if j.unsynced != nil {
		return j.unsynced
	}
	if !j.log.Pending() {
		return nil
	}
	j.applying.Lock()
	settled := j.log.Next()
	touched := j.disk.takeTouched()
	j.applying.Unlock()
	failpoint.Here(failpoint.CheckpointFound)
	if !failpoint.Omitted(failpoint.OmitCheckpointSync) {
		if err := j.disk.syncAll(touched); err != nil {
			j.unsynced = err
			return err
		}
	}
	failpoint.Here(failpoint.FilesSynced)
	if err := j.log.Release(settled); err != nil {
		return err
	}
	failpoint.Here(failpoint.Released)
	return nil
}

// close settles the log and stops.
func (j *journal) close() error {
	close(j.stop)
	j.done.Wait()
	if j.log == nil {
		return nil
	}
	return errors.Join(j.checkpoint(), j.log.Close())
}

// create makes a new file, and its directory if that is missing. An existing file
// is fs.ErrExist.
func (j *journal) create(name string, data []byte) (fs.FileInfo, error) {
	if exists(j.disk.path(name)) {
		return nil, fs.ErrExist
	}
	return j.write(name, data, j.disk.publish)
}

// replace puts the data in the place of a file.
func (j *journal) replace(name string, data []byte) error {
	_, err := j.write(name, data, j.disk.replace)
	return err
}

// write makes a temporary file while the record is on its way to the log, and gives
// it its name when that is on stable storage. A failure leaves nothing behind, unless
// it is an unknownError.
func (j *journal) write(name string, data []byte, publish func(tmp, name string) error) (info fs.FileInfo, err error) {
	if j.log == nil || recordSize(name, data) > j.log.MaxRecord() {
		return j.writeThrough(name, data, publish)
	}
	err = j.logged(func() error {
		info, err = j.writeLogged(name, data, publish)
		return err
	})
	return info, err
}

// logged makes a change that the log takes part in. When there is no room for a new
// segment, a checkpoint frees one, and the change is tried once more.
func (j *journal) logged(change func() error) error {
	try := func() error {
		j.log.Admit(j.stop)
		j.applying.RLock()
		defer j.applying.RUnlock()
		return change()
	}
	err := try()
	var full *wal.FullError
	if !errors.As(err, &full) {
		return err
	}
	if err := j.checkpoint(); err != nil {
		return err
	}
	return try()
}

func (j *journal) writeLogged(name string, data []byte, publish func(tmp, name string) error) (fs.FileInfo, error) {
	ticket, err := j.append(changeWrite, name, data)
	if err != nil {
		return nil, err
	}
	tmp, info, err := j.disk.temporary(data, false)
	failpoint.Here(failpoint.TemporaryMade)
	if logErr := ticket.Wait(); logErr != nil {
		if err == nil {
			logErr = errors.Join(logErr, j.disk.remove(tmp))
		}
		return nil, j.judged(logErr)
	}
	if err == nil {
		if err = publish(tmp, name); err == nil {
			j.disk.touch(name)
			failpoint.Here(failpoint.Published)
			return info, nil
		}
		err = errors.Join(err, j.disk.remove(tmp))
	}
	// The log says that the file is there; it must not be written after a crash.
	return nil, errors.Join(err, j.settle(name))
}

// writeThrough syncs a file by itself: a document too large for the log.
func (j *journal) writeThrough(name string, data []byte, publish func(tmp, name string) error) (fs.FileInfo, error) {
	durable := j.log != nil
	if durable {
		j.applying.RLock()
		defer j.applying.RUnlock()
	}
	tmp, info, err := j.disk.temporary(data, durable)
	if err != nil {
		return nil, err
	}
	if err := publish(tmp, name); err != nil {
		return nil, errors.Join(err, j.disk.remove(tmp))
	}
	if !durable {
		return info, nil
	}
	dir := filepath.Dir(j.disk.path(name))
	if err := errors.Join(j.disk.syncDir(dir), j.disk.syncDir(filepath.Dir(dir))); err != nil {
		return nil, unknownError{err}
	}
	return info, j.settle(name)
}

// settle has the log leave a file as it is.
func (j *journal) settle(name string) error {
	if j.log == nil {
		return nil
	}
	ticket, err := j.append(changeKeep, name, nil)
	if err == nil {
		err = ticket.Wait()
	}
	if err != nil {
		return unknownError{err}
	}
	return nil
}

// remove removes files. It answers those that stay, with the reason, those that were
// gone already, and an error when nothing was removed.
func (j *journal) remove(names []string) (stay map[string]error, gone map[string]bool, err error) {
	if j.log == nil {
		return j.unlink(names)
	}
	err = j.logged(func() error {
		var tickets []wal.Ticket
		for _, name := range names {
			ticket, err := j.append(changeRemove, name, nil)
			if err != nil {
				return err
			}
			tickets = append(tickets, ticket)
		}
		for _, ticket := range tickets {
			if err := ticket.Wait(); err != nil {
				return j.judged(err)
			}
		}
		stay, gone, err = j.unlink(names)
		return err
	})
	var full *wal.FullError
	if errors.As(err, &full) && !j.log.Pending() {
		return j.removeThrough(names)
	}
	return stay, gone, err
}

// removeThrough removes files without the log, which knows nothing of them and has
// no room: so that a full disk can be emptied.
func (j *journal) removeThrough(names []string) (stay map[string]error, gone map[string]bool, err error) {
	if stay, gone, err = j.unlink(names); err != nil {
		return nil, nil, err
	}
	dirs := map[string]bool{}
	for _, name := range names {
		dirs[filepath.Dir(j.disk.path(name))] = true
	}
	for dir := range dirs {
		if err := j.disk.syncDir(dir); err != nil {
			return nil, nil, unknownError{err}
		}
	}
	return stay, gone, nil
}

func (j *journal) unlink(names []string) (stay map[string]error, gone map[string]bool, err error) {
	stay, gone = map[string]error{}, map[string]bool{}
	for _, name := range names {
		err := j.disk.remove(j.disk.path(name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			gone[name] = true
		case err != nil:
			stay[name] = err
			if err := j.settle(name); err != nil {
				return nil, nil, err
			}
		default:
			j.disk.touch(name)
			failpoint.Here(failpoint.Unlinked)
		}
	}
	return stay, gone, nil
}

// judged tells a commit whose outcome is not known from one that did not happen.
func (j *journal) judged(err error) error {
	var failed *wal.FailedError
	if errors.As(err, &failed) {
		return unknownError{err}
	}
	return err
}

// An unknownError says that a change may or may not have happened.
type unknownError struct{ error }

func (e unknownError) Unwrap() error { return e.error }

// append hands the record of a change to the log: the kind, the name behind its
// length, the data.
func (j *journal) append(c change, name string, data []byte) (wal.Ticket, error) {
	var head [64]byte
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

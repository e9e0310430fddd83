package filestore

import (
	"errors"
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

// A journal makes changes of files durable: through the log, or one by one where
// that does not serve. Paths are relative to the base directory. The caller
// makes sure that no two changes of one file happen at once.
//
// A nil log means relaxed durability: nothing is synced at all.
type journal struct {
	disk *disk
	log  *wal.Log
	id   wal.ID // of the log, as the directory remembers it; zero = it does not

	// A change holds applying for reading from before its record is appended until
	// its files are in place; so while a checkpoint holds it, every record's files are.
	applying sync.RWMutex
	settling sync.Mutex // one checkpoint at a time
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
		// What has not been settled now is, the next time.
		if err := j.checkpoint(); err != nil && j.log.Err() != nil {
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
	if err := j.log.Err(); err != nil || !j.log.Pending() {
		return err
	}
	j.applying.Lock()
	settled := j.log.Next()
	touched := j.disk.takeTouched()
	j.applying.Unlock()
	failpoint.Here(failpoint.CheckpointFound)
	if !failpoint.Omitted(failpoint.OmitCheckpointSync) {
		if err := j.disk.syncAll(touched); err != nil {
			j.disk.touchAgain(touched)
			return err
		}
	}
	// If another sync has failed meanwhile, ours may have found nothing left to do; then
	// Release refuses.
	j.disk.awaitSyncs()
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
func (j *journal) create(name string, data []byte) (info fs.FileInfo, err error) {
	if exists(j.disk.path(name)) {
		return nil, fs.ErrExist
	}
	if j.log == nil || recordSize(name, data) > j.log.MaxRecord() {
		return j.writeThrough(name, data, j.disk.publish)
	}
	err = j.logged(func() error {
		info, err = j.createLogged(name, data)
		return err
	})
	return info, err
}

// replace puts the data in the place of a file.
func (j *journal) replace(name string, data []byte) error {
	if j.log == nil || recordSize(name, data) > j.log.MaxRecord() {
		_, err := j.writeThrough(name, data, j.disk.replace)
		return err
	}
	return j.logged(func() error {
		// The log could not be told what was there before, so whatever may fail comes first.
		tmp, _, err := j.disk.temporary(data, false)
		if err != nil {
			return err
		}
		if err := j.commit(changeWrite, name, data); err != nil {
			return errors.Join(err, j.disk.remove(tmp))
		}
		return j.named(tmp, name, j.disk.replace)
	})
}

// A notDoneError says that the log tells of a change that has not been made.
type notDoneError struct{ error }

func (e notDoneError) Unwrap() error { return e.error }

// logged makes a change that the log takes part in. When there is no room for a new
// segment, a checkpoint frees one, and the change is tried once more. When the log tells
// of more than was done, a checkpoint makes that past: what was there before may itself
// be known to the log alone. A failure leaves nothing behind, unless it is an unknownError.
func (j *journal) logged(change func() error) error {
	for again := true; ; again = false {
		err := j.try(change)
		if err == nil {
			return nil
		}
		var full *wal.FullError
		var undone notDoneError
		isFull, notDone := errors.As(err, &full), errors.As(err, &undone)
		if notDone || isFull && again {
			if failed := j.checkpoint(); failed != nil && notDone {
				return unknownError{errors.Join(err, failed)}
			} else if failed != nil {
				return failed
			}
		}
		if !isFull || !again {
			return err
		}
	}
}

func (j *journal) try(change func() error) error {
	j.log.Admit(j.stop)
	j.applying.RLock()
	defer j.applying.RUnlock()
	return change()
}

// createLogged makes a temporary file while others may be committing the record, and
// gives it its name when that is on stable storage.
func (j *journal) createLogged(name string, data []byte) (fs.FileInfo, error) {
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
		return nil, outcomeOf(logErr)
	}
	if err != nil {
		// There was no such file, and so it shall be after a crash.
		if undo := j.commit(changeRemove, name, nil); undo != nil {
			err = notDoneError{errors.Join(err, undo)}
		}
		return nil, err
	}
	return info, j.named(tmp, name, j.disk.publish)
}

// named gives a temporary file the name that the log knows.
func (j *journal) named(tmp, name string, publish func(tmp, name string) error) error {
	if err := publish(tmp, name); err != nil {
		return notDoneError{errors.Join(err, j.disk.remove(tmp))}
	}
	j.disk.touch(name)
	failpoint.Here(failpoint.Published)
	return nil
}

// writeThrough syncs a file by itself: a document too large for the log.
func (j *journal) writeThrough(name string, data []byte, publish func(tmp, name string) error) (fs.FileInfo, error) {
	durable := j.log != nil
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
	// What the log says of the name no longer counts; what is not in it neither.
	err = j.commit(changeKeep, name, nil)
	var full *wal.FullError
	if errors.As(err, &full) {
		err = j.checkpoint()
	}
	if err != nil {
		return nil, unknownError{err}
	}
	return info, nil
}

// commit brings one record to the log.
func (j *journal) commit(c change, name string, data []byte) error {
	ticket, err := j.append(c, name, data)
	if err != nil {
		return err
	}
	return outcomeOf(ticket.Wait())
}

var errStay = errors.New("not all files could be removed")

// remove removes files. It answers those that stay, with the reason, those that were
// gone already, and an error when nothing was removed.
func (j *journal) remove(names []string) (stay map[string]error, gone map[string]bool, err error) {
	if j.log == nil {
		stay, gone = j.unlink(names)
		return stay, gone, nil
	}
	err = j.logged(func() error {
		if err := j.commitRemovals(names); err != nil {
			return err
		}
		if stay, gone = j.unlink(names); len(stay) > 0 {
			return notDoneError{errStay}
		}
		return nil
	})
	var full *wal.FullError
	switch {
	case isUnknown(err):
	case errors.Is(err, errStay):
		err = nil
	case errors.As(err, &full):
		// The log has no room, and after a checkpoint it knows nothing of the files. So a
		// full disk can be emptied.
		stay, gone, err = j.removeThrough(names)
	}
	return stay, gone, err
}

func (j *journal) commitRemovals(names []string) (err error) {
	var tickets []wal.Ticket
	for _, name := range names {
		ticket, refused := j.append(changeRemove, name, nil)
		if err = refused; err != nil {
			break
		}
		tickets = append(tickets, ticket)
	}
	some := false
	for _, ticket := range tickets {
		failed := outcomeOf(ticket.Wait())
		some = some || failed == nil
		err = errors.Join(err, failed)
	}
	if err != nil && some {
		return notDoneError{err}
	}
	return err
}

// removeThrough removes files without the log.
func (j *journal) removeThrough(names []string) (stay map[string]error, gone map[string]bool, err error) {
	stay, gone = j.unlink(names)
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

func (j *journal) unlink(names []string) (stay map[string]error, gone map[string]bool) {
	stay, gone = map[string]error{}, map[string]bool{}
	for _, name := range names {
		err := j.disk.remove(j.disk.path(name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			gone[name] = true
		case err != nil:
			stay[name] = err
		default:
			j.disk.touch(name)
			failpoint.Here(failpoint.Unlinked)
		}
	}
	return stay, gone
}

// outcomeOf tells a commit whose outcome is not known from one that did not happen.
func outcomeOf(err error) error {
	var failed *wal.FailedError
	if errors.As(err, &failed) {
		return unknownError{err}
	}
	return err
}

// An unknownError says that a change may or may not have happened.
type unknownError struct{ error }

func (e unknownError) Unwrap() error { return e.error }

func isUnknown(err error) bool {
	var unknown unknownError
	return errors.As(err, &unknown)
}

package filestore

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"snapshotd/internal/saga"
	"snapshotd/internal/store/catalog"
)

// An index that we have written says when its saga's directory was last changed, if the
// directory held nothing then but the snapshots it lists. While the directory has not
// changed since, no name has come, gone or been given to another file, so that neither
// names nor files need to be looked at.

// settling is how long a directory must have been left alone before its time of change
// is noted: two changes within the resolution of the clock have the same.
const settling = 500 * time.Millisecond

// A recall reads indexes for one goroutine, with memory that it uses again.
type recall struct {
	text    []byte
	records []catalog.Record
	strings map[string]string // one copy of each
}

const mostStrings = 10_000

func newRecall() *recall { return &recall{strings: map[string]string{}} }

// saga answers the snapshots of a saga from its index alone, newest first and valid
// until the next call, and the size of the index. It is not ok if they must be looked up
// in the directory.
func (m *recall) saga(at *trusting, id uuid.UUID) (records []catalog.Record, size int64, ok bool) {
	changed, ok := at.read(id, &m.text)
	if !ok {
		return nil, 0, false
	}
	noted, ok := m.parse(id)
	return m.records, int64(len(m.text)), ok && noted == changed
}

// parse reads an index that is spelled exactly as appendIndex does it, and answers the
// time of change it notes, 0 if it notes none.
func (m *recall) parse(id uuid.UUID) (changed int64, ok bool) {
	s := scanner{rest: m.text}
	m.records = m.records[:0]
	if len(m.strings) > mostStrings {
		clear(m.strings)
	}
	s.skip(indexHead)
	sagaID := s.id()
	s.skip(indexChanged)
	changed = s.int()
	s.skip(indexSnapshots)
	for first := true; !s.failed; first = false {
		if bytes.HasPrefix(s.rest, []byte(indexTail)) {
			sum := indexChecksum(m.text[:len(m.text)-len(s.rest)])
			s.skip(indexTail)
			s.skip(sum)
			s.skip(indexEnd)
			break
		}
		if !first {
			s.skip(",")
		}
		m.records = append(m.records, catalog.Record{})
		r := &m.records[len(m.records)-1]
		r.SagaID = id
		s.skip(indexEntryHead)
		r.ID = s.id()
		s.skip(indexCreatedAt)
		r.CreatedAt = s.time()
		s.skip(indexSagaName)
		r.SagaName = m.string(&s)
		s.skip(indexStepName)
		r.StepName = m.string(&s)
		s.skip(indexStepIndex)
		index := s.int()
		r.StepIndex = int32(index)
		s.skip(indexStatus)
		r.Status = m.string(&s)
		s.skip(indexRetention)
		r.RetentionUntil = s.time()
		s.skip(indexSize)
		r.SizeBytes = s.int()
		s.skip(indexRawSize)
		r.RawSize = s.int()
		s.skip(indexModified)
		r.Modified = s.int()
		if bytes.HasPrefix(s.rest, []byte(indexGzip)) {
			s.skip(indexGzip)
			r.Gzip, r.GzipName = true, true
		}
		s.skip("}")
		n := len(m.records)
		if r.Modified == 0 || int64(r.StepIndex) != index || n > 1 && r.Position().Compare(m.records[n-2].Position()) >= 0 {
			return 0, false
		}
	}
	return changed, !s.failed && len(s.rest) == 0 && sagaID == id && changed != 0
}

// string reads a string without escapes.
func (m *recall) string(s *scanner) string {
	text := s.text()
	if known, ok := m.strings[string(text)]; ok {
		return known
	}
	if !utf8.Valid(text) {
		s.failed = true
	}
	known := string(text)
	m.strings[known] = known
	return known
}

// A scanner takes what it expects off the front of a text.
type scanner struct {
	rest   []byte
	failed bool
}

func (s *scanner) skip(text string) {
	if s.failed = s.failed || len(s.rest) < len(text) || string(s.rest[:len(text)]) != text; !s.failed {
		s.rest = s.rest[len(text):]
	}
}

func (s *scanner) take(n int) []byte {
	if s.failed = s.failed || len(s.rest) < n; s.failed {
		return nil
	}
	taken := s.rest[:n]
	s.rest = s.rest[n:]
	return taken
}

func (s *scanner) id() uuid.UUID {
	const length = 36
	id, err := uuid.ParseBytes(s.take(length))
	s.failed = s.failed || err != nil
	return id
}

// int reads a number that is not negative.
func (s *scanner) int() int64 {
	const mostDigits = 19
	var n uint64
	i := 0
	for ; i < len(s.rest) && '0' <= s.rest[i] && s.rest[i] <= '9'; i++ {
		n = 10*n + uint64(s.rest[i]-'0')
	}
	s.failed = s.failed || i == 0 || i > mostDigits || n > math.MaxInt64
	s.take(i)
	return int64(n)
}

// text reads a string without escapes.
func (s *scanner) text() []byte {
	s.skip(`"`)
	end := bytes.IndexByte(s.rest, '"')
	if s.failed = s.failed || end < 0 || bytes.IndexByte(s.rest[:end], '\\') >= 0; s.failed {
		return nil
	}
	text := s.take(end)
	s.skip(`"`)
	return text
}

// time reads a time as saga.Time spells it, or null.
func (s *scanner) time() saga.Time {
	if bytes.HasPrefix(s.rest, []byte("null")) {
		s.skip("null")
		return saga.Never
	}
	text := s.text()
	if t, ok := plainTime(text); ok {
		return t
	}
	t, err := saga.ParseTime(string(text))
	s.failed = s.failed || err != nil
	return t
}

// plainTime reads a time in UTC with six digits of fraction, quickly. What is unusual
// about it, if only the 29th of a month, it leaves to saga.ParseTime.
func plainTime(text []byte) (saga.Time, bool) {
	const shape = "0000-00-00T00:00:00.000000+00:00"
	if len(text) != len(shape) || string(text[26:]) != shape[26:] {
		return 0, false
	}
	for i, c := range text[:26] {
		if digit := '0' <= c && c <= '9'; shape[i] == '0' && !digit || shape[i] != '0' && c != shape[i] {
			return 0, false
		}
	}
	field := func(from, to int) (n int) {
		for _, c := range text[from:to] {
			n = 10*n + int(c-'0')
		}
		return n
	}
	year, month, day := field(0, 4), field(5, 7), field(8, 10)
	hour, minute, second := field(11, 13), field(14, 16), field(17, 19)
	if year < 1 || month < 1 || month > 12 || day < 1 || day > 28 || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	return saga.Time(t.Unix()*1_000_000 + int64(field(20, 26))), true
}

// coarsest is the granularity of times on FAT; old ext4, ext3 and HFS+ count whole seconds.
const coarsest = 2 * time.Second

// changeTime answers when a saga's directory was last changed; 0 if that is not known, or
// so short a while ago that the next change may bear the same time.
func (d *disk) changeTime(id uuid.UUID) int64 {
	info, err := os.Lstat(d.saga(id))
	if err != nil || !info.IsDir() {
		return 0
	}
	if changed := metadataTime(info); isSettled(changed, time.Now(), d.settling) {
		return changed
	}
	return 0
}

// isSettled reports whether a change at now would bear another time than the last one.
func isSettled(changed int64, now time.Time, settling time.Duration) bool {
	if settling > 0 && changed%int64(time.Second) == 0 {
		settling += coarsest // for all we know the filesystem counts in seconds
	}
	return now.UnixNano()-changed >= int64(settling)
}

// directoryTime answers when a saga's directory was last changed, if it is known to
// hold just the files of these records ever since; else 0.
func (d *disk) directoryTime(id uuid.UUID, records func() []catalog.Record) (list []catalog.Record, changed int64) {
	changed = d.changeTime(id)
	list = records()
	if changed == 0 {
		return list, 0
	}
	names, err := readNames(d.saga(id))
	if err != nil || len(names) != len(list) {
		return list, 0
	}
	there := make(map[string]bool, len(names))
	for _, name := range names {
		there[name] = true
	}
	for i := range list {
		r := &list[i]
		if r.Foreign || r.Gzip != r.GzipName || !there[snapshotName(r.ID, r.GzipName)] {
			return list, 0
		}
		// Somebody may have put another file in the place of one of ours.
		if now, err := lstat(filepath.Join(d.saga(id), snapshotName(r.ID, r.GzipName))); err != nil || now != (fileState{r.SizeBytes, r.Modified}) {
			return list, 0
		}
	}
	return list, changed
}

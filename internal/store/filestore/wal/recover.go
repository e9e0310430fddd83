package wal

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Found is what Recover has found.
type Found struct {
	// Records are those that Release had not settled, oldest first.
	Records [][]byte
	// Damage says what is wrong with the log beyond a torn end, in words; what could be
	// read is in Records all the same. A damaged log was acknowledged in part, and lost.
	Damage []string
	// Unfinished are files that were to become segments when the process ended.
	Unfinished []string

	active *segment   // holds the last frame; the log goes on behind it
	free   []*segment // the others
	names  int
	next   uint64
}

type frame struct {
	index, mark uint64
	payload     []byte
	path        string
}

// Last is the file of a log without records that must be removed last, because it
// says that there are none; "" if there is no such file.
func (f *Found) Last() string {
	if f.active == nil {
		return ""
	}
	return f.active.path
}

// Recover reads the log of this ID in a directory: segments of others are damage. Without
// an ID all are taken. It changes nothing, so it may be repeated until the records have
// been settled.
func Recover(dir string, id ID) (*Found, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	found := &Found{}
	var frames []frame
	for _, e := range entries {
		stem, ok := strings.CutSuffix(e.Name(), suffix)
		number, err := strconv.Atoi(stem)
		path := filepath.Join(dir, e.Name())
		if !ok || err != nil || !e.Type().IsRegular() {
			found.Damage = append(found.Damage, path+" is no segment of the log")
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		found.names = max(found.names, number)
		if len(text) < segmentHead || string(text[:len(magic)]) != magic {
			if len(bytes.Trim(text, "\x00")) > 0 {
				found.Damage = append(found.Damage, path+" is no segment of the log")
			}
			found.Unfinished = append(found.Unfinished, path)
			continue
		}
		s := &segment{path: path, size: int64(len(text)), offset: segmentHead, key: [8]byte(text[len(magic):segmentHead])}
		if id != (ID{}) && ID(s.key[:len(id)]) != id {
			found.Damage = append(found.Damage, path+" is a segment of another log")
			continue
		}
		here := scan(s, text)
		frames = append(frames, here...)
		if a := found.active; a != nil && (len(here) == 0 || a.last > s.last) {
			found.free = append(found.free, s)
			continue
		} else if a != nil {
			found.free = append(found.free, a)
		}
		found.active = s
	}
	found.gather(frames)
	return found, nil
}

// scan answers every whole frame in a segment, wherever it stands, and notes where
// the last one ends.
func scan(s *segment, text []byte) []frame {
	le := binary.LittleEndian
	var frames []frame
	for at := segmentHead; at+headerSize <= len(text); {
		skip := bytes.Index(text[at:], s.key[:])
		if skip < 0 {
			break
		}
		at += skip
		if at+headerSize > len(text) {
			break
		}
		end := at + headerSize + int(le.Uint32(text[at+24:]))
		if end > len(text) || checksum(text[at:end]) != le.Uint32(text[at+28:]) {
			at++
			continue
		}
		frames = append(frames, frame{
			index: le.Uint64(text[at+8:]), mark: le.Uint64(text[at+16:]), payload: text[at+headerSize : end], path: s.path,
		})
		at = end
		if last := frames[len(frames)-1].index; last >= s.last {
			s.last, s.offset = last, int64(end)
		}
	}
	return frames
}

// gather puts the frames in order and takes out the records that are not
// settled.
func (f *Found) gather(frames []frame) {
	slices.SortStableFunc(frames, func(a, b frame) int { return cmp.Compare(a.index, b.index) })
	var mark uint64
	for _, fr := range frames {
		mark = max(mark, fr.mark)
		f.next = max(f.next, fr.index+1)
	}
	expected := mark
	for _, fr := range frames {
		if fr.index < expected {
			continue // settled
		}
		if fr.index > expected {
			f.Damage = append(f.Damage, fmt.Sprintf("%d commits before commit %d in %s are missing", fr.index-expected, fr.index, fr.path))
		}
		expected = fr.index + 1
		f.records(fr)
	}
}

func (f *Found) records(fr frame) {
	for p := fr.payload; len(p) >= recordHead; {
		n := int(binary.LittleEndian.Uint32(p))
		if n > len(p)-recordHead {
			f.Damage = append(f.Damage, fmt.Sprintf("a record of commit %d in %s is cut off", fr.index, fr.path))
			return
		}
		f.Records = append(f.Records, p[recordHead:recordHead+n])
		p = p[recordHead+n:]
	}
}

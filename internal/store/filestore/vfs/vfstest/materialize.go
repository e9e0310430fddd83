package vfstest

import (
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

const sector = 512

// Materialize lays out in a new directory what the disk holds after a power cut: all
// that was synced, and of the rest each change with this probability. The seed
// says which.
func (r *Recorder) Materialize(to string, kept float64, seed uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := &materializer{names: map[*node]map[string]*node{}, kept: kept, random: rand.New(rand.NewPCG(seed, 0))}
	for _, c := range r.history {
		if !c.stable && !m.keeps() {
			continue
		}
		for _, e := range c.edits {
			if e.to == nil {
				delete(m.of(e.dir), e.name)
			} else {
				m.of(e.dir)[e.name] = e.to
			}
		}
	}
	return m.lay(r.tree, to)
}

type materializer struct {
	names  map[*node]map[string]*node
	kept   float64
	random *rand.Rand
}

func (m *materializer) keeps() bool { return m.random.Float64() < m.kept }

func (m *materializer) of(dir *node) map[string]*node {
	if m.names[dir] == nil {
		m.names[dir] = maps.Clone(dir.stable)
	}
	return m.names[dir]
}

func (m *materializer) lay(n *node, path string) error {
	if n.mode.IsDir() {
		if err := os.Mkdir(path, n.mode.Perm()); err != nil {
			return err
		}
		names := m.of(n)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if err := m.lay(names[name], filepath.Join(path, name)); err != nil {
				return err
			}
		}
		return os.Chmod(path, n.mode.Perm())
	}
	if n.mode&fs.ModeType != 0 {
		return nil
	}
	if err := os.WriteFile(path, m.content(n), n.mode.Perm()); err != nil {
		return err
	}
	if n.info == nil {
		return nil
	}
	return os.Chtimes(path, n.info.ModTime(), n.info.ModTime())
}

// content tears what was not synced.
func (m *materializer) content(n *node) []byte {
	data := slices.Clone(n.data)
	for _, w := range n.writes {
		if w.stable {
			data = w.apply(data)
			continue
		}
		if size := w.off + int64(len(w.data)); int64(len(data)) < size && m.keeps() {
			data = append(data, make([]byte, size-int64(len(data)))...) // the size, if not the bytes
		}
		for at := int64(0); at < int64(len(w.data)); {
			end := min((w.off+at)/sector*sector+sector-w.off, int64(len(w.data)))
			if m.keeps() {
				data = (&write{off: w.off + at, data: w.data[at:end]}).apply(data)
			}
			at = end
		}
	}
	return data
}

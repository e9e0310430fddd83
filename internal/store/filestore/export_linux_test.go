package filestore

import "github.com/google/uuid"

// WatchAtMost bounds the directories that are watched.
func (s *Store) WatchAtMost(n int) { s.cache.watcher.most = n }

// Watched answers how many directories of sagas are watched, and whether any can be.
func (s *Store) Watched() (n int, ok bool) {
	w := s.cache.watcher
	if w == nil {
		return 0, false
	}
	w.lastChange(uuid.UUID{}) // so that it knows what has gone
	return len(w.sagas), true
}

package filestore

// WithSegments answers the configuration of a store whose log has segments of
// this size.
func (c Config) WithSegments(size int64) Config {
	c.segmentSize = size
	return c
}

// SyncingEach answers the configuration of a store that syncs file by file, as on
// systems that cannot sync everything at once.
func (c Config) SyncingEach() Config {
	c.syncEach = true
	return c
}

// Settled answers the configuration of a store that takes the time of the last change
// of a directory for exact, however short a while ago it is.
func (c Config) Settled() Config {
	c.settled = true
	return c
}

// Checkpoint settles the log.
func (s *Store) Checkpoint() error { return s.journal.checkpoint() }

// Remembered answers how many bytes the documents in memory take.
func (s *Store) Remembered() int64 {
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	var size int64
	for _, e := range s.cache.entries {
		size += e.Value.(*cached).size()
	}
	return size
}

// EachOf is eachOf.
var EachOf = eachOf

// Package failpoint lets the fault suite kill the process at a step of the write
// path, or leave a step out, to see that the suite notices. It does so only in
// builds with the tag failpoint; in all others its calls vanish.
package failpoint

// Steps of the write path at which Here is called.
const (
	SegmentMade     = "segment-made"     // a segment of the log is filled and synced
	LogWritten      = "log-written"      // a commit is written, not synced
	LogSynced       = "log-synced"       // a commit is on stable storage
	TemporaryMade   = "temporary-made"   // a file is written under its temporary name
	Published       = "published"        // a file has its name, nobody has been answered
	Unlinked        = "unlinked"         // a file is removed, nobody has been answered
	CheckpointFound = "checkpoint-found" // a checkpoint knows what it is to sync
	FilesSynced     = "files-synced"     // the files behind the log are on stable storage
	Released        = "released"         // segments may be used anew
	Replayed        = "replayed"         // a record has been replayed at the start
	ReplaySynced    = "replay-synced"    // all of them are on stable storage
	IndexWritten    = "index-written"    // an index file has been replaced
)

// Steps are all that Here is called with.
var Steps = []string{
	SegmentMade, LogWritten, LogSynced, TemporaryMade, Published, Unlinked, CheckpointFound, FilesSynced, Released,
	Replayed, ReplaySynced, IndexWritten,
}

// Omissions are what Omitted is called with: builds that must lose data.
const (
	OmitLogSync        = "log-sync"        // commits are not synced
	OmitCheckpointSync = "checkpoint-sync" // segments are freed before their files are synced
	OmitReplayDeletes  = "replay-deletes"  // the start replays writes alone
)

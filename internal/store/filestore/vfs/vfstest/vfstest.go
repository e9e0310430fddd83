// Package vfstest has file systems that hurt: Faulty fails calls, Recorder knows
// what a power cut would leave. Both wrap any vfs.FS, and each other:
//
//	vfstest.NewRecorder(vfstest.NewFaulty(vfstest.Unsynced{FS: vfs.OS{}}), dir)
package vfstest

import (
	"io/fs"

	"snapshotd/internal/store/filestore/vfs"
)

// An Op is an operation of a vfs.FS or a vfs.File.
type Op string

// The operations there are.
const (
	Create    Op = "create"
	Open      Op = "open"
	Write     Op = "write"
	WriteAt   Op = "write-at"
	Sync      Op = "sync"
	Stat      Op = "stat"
	Close     Op = "close"
	Rename    Op = "rename"
	RenameNew Op = "rename-new"
	Remove    Op = "remove"
	Mkdir     Op = "mkdir"
	Chtimes   Op = "chtimes"
	SyncDir   Op = "sync-dir"
	SyncAll   Op = "sync-all"
)

// Ops are all of them.
var Ops = []Op{Create, Open, Write, WriteAt, Sync, Stat, Close, Rename, RenameNew, Remove, Mkdir, Chtimes, SyncDir, SyncAll}

// changes reports whether the operation can change what a power cut leaves.
func (op Op) changes() bool { return op != Open && op != Stat && op != Close }

// Unsynced is an FS that is never told to sync, for tests to which only the
// order of calls matters.
type Unsynced struct{ vfs.FS }

var _ vfs.FS = Unsynced{}

// Create makes a file that does not sync.
func (u Unsynced) Create(path string, mode fs.FileMode) (vfs.File, error) {
	f, err := u.FS.Create(path, mode)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

// Open opens a file that does not sync.
func (u Unsynced) Open(path string) (vfs.File, error) {
	f, err := u.FS.Open(path)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

// SyncDir does nothing.
func (Unsynced) SyncDir(string) error { return nil }

// SyncAll does nothing.
func (Unsynced) SyncAll(string) error { return nil }

type unsyncedFile struct{ vfs.File }

func (unsyncedFile) Sync() error { return nil }

//go:build faults && linux

package faults

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A recorder is a disk that remembers every write and flush. It is a file in a
// filesystem of our own, to which a loop device is bound.
type recorder struct {
	fs.Inode
	mu      sync.Mutex
	blank   []byte // what it held when the record began
	content []byte
	record  []event
	fail    func(event) bool // has a write or a flush fail; nil = none does
	failed  int
}

// An event is a write, or without data a flush: all writes before it are on stable
// storage.
type event struct {
	offset int64
	data   []byte
}

func (e event) isFlush() bool { return e.data == nil }

var (
	_ fs.NodeOnAdder   = (*recorderRoot)(nil)
	_ fs.NodeGetattrer = (*recorder)(nil)
	_ fs.NodeSetattrer = (*recorder)(nil)
	_ fs.NodeOpener    = (*recorder)(nil)
	_ fs.NodeReader    = (*recorder)(nil)
	_ fs.NodeWriter    = (*recorder)(nil)
	_ fs.NodeFsyncer   = (*recorder)(nil)
	_ fs.NodeFlusher   = (*recorder)(nil)
	_ fs.NodeAllocater = (*recorder)(nil)
)

type recorderRoot struct {
	fs.Inode
	disk *recorder
}

func (r *recorderRoot) OnAdd(ctx context.Context) {
	r.AddChild("disk", r.NewPersistentInode(ctx, r.disk, fs.StableAttr{Mode: syscall.S_IFREG}), true)
}

// newRecorder makes a recorded disk of so many MiB with an ext4 on it, and mounts
// that.
func newRecorder(t *testing.T, mib int) (*recorder, *volume) {
	t.Helper()
	v := newVolume(t, "ext4", mib, "-J", "size=4")
	v.detach()
	blank, err := os.ReadFile(v.image)
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{blank: blank, content: append([]byte(nil), blank...)}
	dir := t.TempDir()
	server, err := fs.Mount(dir, &recorderRoot{disk: r}, &fs.Options{MountOptions: fuse.MountOptions{
		DirectMountStrict: true, MaxWrite: 1 << 20, FsName: "recorder", Name: "recorder",
	}})
	if err != nil {
		t.Fatalf("mounting a filesystem of our own: %v", err)
	}
	t.Cleanup(func() {
		for deadline := time.Now().Add(patience); server.Unmount() != nil && time.Now().Before(deadline); {
			time.Sleep(5 * time.Millisecond) // the loop device lets go of it
		}
	})
	v.image = filepath.Join(dir, "disk")
	v.attach()
	return r, v
}

// position is where in the record we are.
func (r *recorder) position() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.record)
}

// events is the record so far.
func (r *recorder) events() []event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.record)
}

// failing has writes and flushes fail that a function chooses.
func (r *recorder) failing(choose func(event) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = choose
}

// failures is how many have failed.
func (r *recorder) failures() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *recorder) add(e event) syscall.Errno {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil && r.fail(e) {
		r.failed++
		return syscall.EIO
	}
	copy(r.content[e.offset:], e.data)
	r.record = append(r.record, e)
	return 0
}

func (r *recorder) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = 0o600|syscall.S_IFREG, uint64(len(r.blank))
	out.Blocks, out.Blksize = out.Size/512, 4096
	return 0
}

func (r *recorder) Setattr(ctx context.Context, f fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return r.Getattr(ctx, f, out)
}

func (r *recorder) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (r *recorder) Read(_ context.Context, _ fs.FileHandle, dest []byte, offset int64) (fuse.ReadResult, syscall.Errno) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fuse.ReadResultData(dest[:copy(dest, r.content[offset:])]), 0
}

func (r *recorder) Write(_ context.Context, _ fs.FileHandle, data []byte, offset int64) (uint32, syscall.Errno) {
	return uint32(len(data)), r.add(event{offset, append([]byte{}, data...)})
}

func (r *recorder) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno { return r.add(event{}) }

func (r *recorder) Flush(context.Context, fs.FileHandle) syscall.Errno { return 0 }

func (r *recorder) Allocate(context.Context, fs.FileHandle, uint64, uint64, uint32) syscall.Errno {
	return syscall.EOPNOTSUPP // no hole is punched: a write says all there is to say
}

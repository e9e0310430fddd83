//go:build unix && !linux

package vfs

func renameNew(from, to string) error { return linkNew(from, to) }

//go:build unix && !linux

package filestore

func renameNoReplace(from, to string) error { return linkNoReplace(from, to) }

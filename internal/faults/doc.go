// Package faults tries to break the sentence that the README prints about a 2xx:
// it runs the real daemon on filesystems of its own and pulls the plug, fills the
// disk, fails it, and kills the process. Builds that leave a step out run the same
// tests and must be caught.
//
// The tests have the build tag faults, and need Linux, root and loop devices; make
// faults runs them.
package faults

// Package hostile throws what attackers send, and what they put into the data
// directory, at the real daemon over TCP. It is all tests: whatever comes is
// answered with a problem or comes back byte for byte, memory stays bounded, the
// directory holds what was granted and nothing else, and the daemon stays ready.
package hostile

package api

import (
	"crypto/sha256"
	"math"
	"net/http"
	"strings"

	"snapshotd/internal/access"
	"snapshotd/internal/archive"
	"snapshotd/internal/document"
	"snapshotd/internal/saga"
)

// Redactable reports whether the value that a JSON pointer leads to may be masked:
// one below the context or the external references, which stay objects.
func Redactable(pointer string) bool {
	below := strings.HasPrefix(pointer, "/context/") || strings.HasPrefix(pointer, "/external_refs/")
	return below && new(document.Mask).Add(pointer) == nil
}

func newMask(pointers []string) *document.Mask {
	if len(pointers) == 0 {
		return nil
	}
	m := &document.Mask{}
	for _, pointer := range pointers {
		if err := m.Add(pointer); err != nil {
			panic(err) // it is not Redactable
		}
	}
	return m
}

// redacts reports whether the caller gets documents with values masked.
func (c *call) redacts() bool { return c.server.mask != nil && !c.caller.May(access.Admin) }

// sendRedacted answers with a stored document as the caller may see it, or with
// the value in that which ?pointer leads to. It is masked whole before it is taken
// apart, and its tag is that of what is sent.
func (c *call) sendRedacted(find finder, part bool) error {
	item, doc, err := find(false)
	if err != nil {
		return err
	}
	defer doc.Close()
	text := doc.Text
	if text == nil {
		buf := buffers.get(doc.Size)
		defer buffers.put(buf)
		if *buf, err = c.appendAll(*buf, doc, math.MaxInt64); err != nil {
			return unreadable(item, err)
		}
		text = *buf
	}
	if text, err = c.redact(item, text); err != nil {
		return err
	}
	if part {
		return c.sendPart(text)
	}
	sum := sha256.Sum256(text)
	if !c.notModified(sum[:], false) {
		c.write(http.StatusOK, jsonType, text)
	}
	return nil
}

// redact answers a document as the caller may see it; the one given, which others
// may see whole, stays as it is.
func (c *call) redact(item *archive.Item, text []byte) ([]byte, error) {
	if !c.redacts() {
		return text, nil
	}
	if err := c.hold(2 * int64(len(text))); err != nil { // the copy, too
		return nil, err
	}
	masked, err := c.server.mask.Append(make([]byte, 0, len(text)), text)
	if err != nil {
		return nil, unreadable(item, err)
	}
	return masked, nil
}

// redactedReplay is a record as the caller may see it: its override is laid over
// a context, and masked like one.
func (c *call) redactedReplay(r *saga.Replay) (*saga.Replay, error) {
	if !c.redacts() || r.ContextOverride == nil {
		return r, nil
	}
	masked, err := c.server.mask.At("context").Append(nil, r.ContextOverride)
	if err != nil {
		return nil, err
	}
	shown := *r
	shown.ContextOverride = masked
	return &shown, nil
}

// redactedReplays does so with a page of them.
func (c *call) redactedReplays(list []*saga.Replay) ([]*saga.Replay, error) {
	if !c.redacts() {
		return list, nil
	}
	shown := make([]*saga.Replay, len(list))
	for i, r := range list {
		var err error
		if shown[i], err = c.redactedReplay(r); err != nil {
			return nil, err
		}
	}
	return shown, nil
}

// redactedPrepared is what a runtime is told, as the caller may see it.
func (c *call) redactedPrepared(p *archive.PreparedReplay) (*archive.PreparedReplay, error) {
	if !c.redacts() {
		return p, nil
	}
	r, err := c.redactedReplay(p.Replay)
	if err != nil {
		return nil, err
	}
	resume := *p.Resume
	if resume.Context, err = c.server.mask.At("context").Append(nil, resume.Context); err != nil {
		return nil, err
	}
	if resume.ExternalRefs, err = c.server.mask.At("external_refs").Append(nil, resume.ExternalRefs); err != nil {
		return nil, err
	}
	return &archive.PreparedReplay{Replay: r, Resume: &resume}, nil
}

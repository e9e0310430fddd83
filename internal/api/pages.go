package api

import (
	"errors"
	"math"
	"net/http"

	"github.com/google/uuid"

	"snapshotd/internal/archive"
	"snapshotd/internal/document"
	"snapshotd/internal/saga"
)

// pageChunk is how much of a page is composed before it is sent, in bytes.
const pageChunk = 32 << 10

// mostNamed is how many documents that cannot be read are named before a page is
// answered, if nothing else is on it.
const mostNamed = 1000

// sendDocuments answers with a page of whole documents, one in memory at a time.
// Those that have vanished since they were found are left out, those that cannot
// be read are named at the end; where nothing is left, what follows is answered.
// Until the first chunk is full a failure is still a problem document; afterwards
// the connection breaks off.
func (c *call) sendDocuments(page *archive.Page, q *saga.Query) error {
	out, text := buffers.get(2*pageChunk), buffers.get(0)
	defer buffers.put(out)
	defer buffers.put(text)
	p := pageLayout{buf: *out, pretty: c.pretty}
	p.open("snapshots")
	var named []uuid.UUID
	unreadable := page.Unreadable
	for {
		cutPage(page, c.server.cfg.MaxPageBytes)
		next := c.next(page.Next, q)
		var err error
		if named, err = c.addDocuments(&p, page, text, named); err != nil {
			return err
		}
		if p.filled || page.Next == nil || len(named) >= mostNamed {
			p.close(next, append(unreadable, named...))
			break
		}
		q.From = page.Next
		if page, err = c.archive.Snapshots(c.ctx(), q); err != nil {
			return err
		}
	}
	*out = p.buf
	if !c.started {
		c.write(http.StatusOK, jsonType, p.buf)
		return nil
	}
	return c.sendChunk(&p)
}

// addDocuments adds the documents of a page, and appends the ids of those that
// cannot be read to named. Whenever a chunk is full, it is sent.
func (c *call) addDocuments(p *pageLayout, page *archive.Page, buf *[]byte, named []uuid.UUID) ([]uuid.UUID, error) {
	for i := range page.Items {
		item := &page.Items[i]
		doc, err := c.readDocument(item, buf)
		switch {
		case errors.Is(err, saga.ErrSnapshotNotFound):
			continue
		case errors.Is(err, saga.ErrCorrupt):
			named = append(named, item.ID)
			continue
		case err != nil:
			return named, err
		}
		p.item(doc)
		if len(p.buf) >= pageChunk {
			if err := c.sendChunk(p); err != nil {
				return named, err
			}
		}
	}
	return named, nil
}

// sendChunk sends what has been composed, behind the header.
func (c *call) sendChunk(p *pageLayout) error {
	if !c.started {
		c.start(http.StatusOK, jsonType)
	}
	_, err := c.w.Write(p.buf)
	p.buf = p.buf[:0]
	return err
}

// readDocument answers the item's document with its Text as the caller may see it,
// in buf unless it is in memory elsewhere.
func (c *call) readDocument(item *archive.Item, buf *[]byte) (*archive.Document, error) {
	doc, err := item.Open(c.ctx(), false)
	if err != nil {
		return nil, err
	}
	defer doc.Close()
	if doc.Text == nil {
		if *buf, err = c.appendAll((*buf)[:0], doc, math.MaxInt64); err != nil {
			return nil, unreadable(item, err)
		}
		doc.Text = *buf
	}
	if c.redacts() {
		// Another document: what is derived from the whole one stays with that.
		masked, err := c.redact(item, doc.Text)
		return &archive.Document{Text: masked}, err
	}
	return doc, nil
}

// cutPage bounds the documents of a page by their sizes before compression, which
// is what goes out, but leaves one.
func cutPage(page *archive.Page, limit int64) {
	var total int64
	for i := range page.Items {
		total += page.Items[i].RawSize
		if total > limit && i > 0 {
			page.Items = page.Items[:i]
			last := page.Items[i-1].Position()
			page.Next = &last
			return
		}
	}
}

// A pageLayout composes an object with one list, compact or indented.
type pageLayout struct {
	buf    []byte
	pretty bool
	filled bool
}

func (p *pageLayout) open(list string) {
	p.buf = append(p.buf, '{')
	p.member(list)
	p.buf = append(p.buf, '[')
}

func (p *pageLayout) item(doc *archive.Document) {
	if p.filled {
		p.buf = append(p.buf, ',')
	}
	p.filled = true
	if !p.pretty {
		p.buf = doc.AppendCompact(p.buf)
		return
	}
	p.buf = append(p.buf, "\n    "...)
	p.buf = document.AppendIndent(p.buf, doc.Text, 2)
}

func (p *pageLayout) close(next *string, unreadable []uuid.UUID) {
	if p.pretty && p.filled {
		p.buf = append(p.buf, "\n  "...)
	}
	p.buf = append(p.buf, "],"...)
	p.member("next_cursor")
	if next == nil {
		p.buf = append(p.buf, "null"...)
	} else {
		p.buf = document.AppendString(p.buf, *next)
	}
	if len(unreadable) > 0 {
		ids := []byte{'['}
		for i, id := range unreadable {
			if i > 0 {
				ids = append(ids, ',')
			}
			ids = document.AppendString(ids, id.String())
		}
		ids = append(ids, ']')
		p.buf = append(p.buf, ',')
		p.member("unreadable")
		if p.pretty {
			ids = document.AppendIndent(nil, ids, 1)
		}
		p.buf = append(p.buf, ids...)
	}
	if p.pretty {
		p.buf = append(p.buf, '\n')
	}
	p.buf = append(p.buf, "}\n"...)
}

func (p *pageLayout) member(name string) {
	if p.pretty {
		p.buf = append(p.buf, "\n  "...)
	}
	p.buf = append(document.AppendString(p.buf, name), ':')
	if p.pretty {
		p.buf = append(p.buf, ' ')
	}
}

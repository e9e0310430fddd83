package api

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"snapshotd/internal/archive"
	"snapshotd/internal/document"
	"snapshotd/internal/saga"
)

// heldDocument is the size in bytes up to which a document is held in memory while
// it is sent; larger ones are read twice, once for their tag.
const heldDocument = 1 << 20

// A finder finds a snapshot and opens its document, see archive.Item.Open.
type finder func(gzipped bool) (*archive.Item, *archive.Document, error)

// sendDocument answers with a stored document as it is, or with the value in it
// that ?pointer leads to.
func (c *call) sendDocument(find finder) error {
	part := c.query.Has("pointer")
	if c.redacts() {
		return c.sendRedacted(find, part)
	}
	item, doc, err := find(!part && takesGzip(c.r))
	if err != nil {
		return err
	}
	defer doc.Close()
	text := doc.Text
	if text == nil {
		if sum, ok := doc.KnownSum(); ok && !part && c.notModified(sum[:], doc.Gzipped) {
			return nil
		}
		buf := buffers.get(doc.Size)
		defer buffers.put(buf)
		limit := int64(heldDocument + 1)
		if part {
			limit = math.MaxInt64
		}
		if *buf, err = c.appendAll(*buf, doc, limit); err != nil {
			return unreadable(item, err)
		}
		text = *buf
		if len(text) <= heldDocument || part {
			doc.Text = text
		}
	}
	if part {
		return c.sendPart(text)
	}
	if doc.Gzipped {
		c.w.Header().Set("Content-Encoding", "gzip")
	}
	if doc.Text == nil {
		return c.sendLarge(item, doc, text)
	}
	sum := doc.Sum()
	if !c.notModified(sum[:], doc.Gzipped) {
		c.write(http.StatusOK, jsonType, text)
	}
	return nil
}

// sendPart answers with a value out of a document: its tokens as spelled, laid
// out like what is composed.
func (c *call) sendPart(doc []byte) error {
	value, err := document.Find(doc, c.query.Get("pointer"))
	if err != nil {
		return err
	}
	if c.pretty {
		value = document.AppendIndent(nil, value, 0)
	} else {
		value = document.AppendCompact(nil, value)
	}
	value = append(value, '\n')
	sum := sha256.Sum256(value)
	if !c.notModified(sum[:], false) {
		c.write(http.StatusOK, jsonType, value)
	}
	return nil
}

// sendLarge answers with a document of which head has been read: the rest is read
// for the tag, then all of it again to be sent.
func (c *call) sendLarge(item *archive.Item, doc *archive.Document, head []byte) error {
	hash := sha256.New()
	hash.Write(head)
	rest, err := io.Copy(hash, doc)
	if err != nil {
		return unreadable(item, err)
	}
	sum, size := hash.Sum(nil), int64(len(head))+rest
	doc.Hashed([sha256.Size]byte(sum))
	if c.notModified(sum, doc.Gzipped) {
		return nil
	}
	length := strconv.FormatInt(size, 10)
	if c.r.Method == http.MethodHead {
		c.w.Header().Set("Content-Length", length)
		c.start(http.StatusOK, jsonType)
		_, err := c.w.Write(head) // by which the coding is chosen
		return err
	}
	again, err := c.archive.Snapshot(c.ctx(), item.ID)
	if err != nil {
		return err
	}
	second, err := again.Open(c.ctx(), doc.Gzipped)
	if err != nil {
		return err
	}
	defer second.Close()
	c.w.Header().Set("Content-Length", length)
	c.start(http.StatusOK, jsonType)
	return sendHashed(c.w, second, size, sum)
}

var errChanged = errors.New("the document changed while it was sent")

// heldBack is how much of a document is sent only when all of it is known to be right,
// in bytes.
const heldBack = 4 << 10

// sendHashed sends size bytes, more than heldBack, that have this hash; errChanged if
// they have another, or there are fewer. Then the last ones are not sent, so that the
// client sees it, too.
func sendHashed(dst io.Writer, src io.Reader, size int64, sum []byte) error {
	hash, last := sha256.New(), buffers.get(heldBack)
	defer buffers.put(last)
	src = io.TeeReader(src, hash)
	_, err := io.CopyN(dst, src, size-heldBack)
	if err == nil {
		_, err = io.ReadFull(src, (*last)[:heldBack])
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errChanged
	case err != nil:
		return err
	case !slices.Equal(sum, hash.Sum(nil)):
		return errChanged
	}
	_, err = dst.Write((*last)[:heldBack])
	return err
}

// unreadable names the snapshot whose document could not be read, unless there is
// no room to read it.
func unreadable(item *archive.Item, err error) error {
	if isOverload(err) {
		return err
	}
	return &saga.CorruptError{ID: item.ID, Err: err}
}

// notModified sets the strong tag of an answer with this hash, and sends 304 to a
// client that has it. What is compressed on its way out gets a suffix to its tag
// there; what is stored compressed gets it here.
func (c *call) notModified(sum []byte, gzipped bool) bool {
	tag := hex.EncodeToString(sum[:16])
	known, ok := knownTag(c.r.Header.Values("If-None-Match"), tag)
	switch {
	case ok && known != "*":
		c.w.Header().Set("ETag", known)
	case gzipped:
		c.w.Header().Set("ETag", `"`+tag+`-gzip"`)
	default:
		c.w.Header().Set("ETag", `"`+tag+`"`)
	}
	if ok {
		c.w.Header().Del("Content-Encoding")
		c.start(http.StatusNotModified, "")
	}
	return ok
}

// knownTag finds the tag, in whatever coding, among those that a client has (RFC
// 9110, section 13.1.2), and answers it as it stands there.
func knownTag(lines []string, tag string) (known string, ok bool) {
	for _, line := range lines {
		for entry := range strings.SplitSeq(line, ",") {
			entry = strings.TrimPrefix(strings.TrimSpace(entry), "W/")
			if entry == "*" {
				return entry, true
			}
			for _, suffix := range []string{"", "-gzip", "-zstd"} {
				if entry == `"`+tag+suffix+`"` {
					return entry, true
				}
			}
		}
	}
	return "", false
}

// takesGzip reports whether a stored gzip stream may go out as it is: the client
// takes gzip, and does not like zstd better.
func takesGzip(r *http.Request) bool {
	accepted := r.Header.Get("Accept-Encoding")
	gzip := quality(accepted, "gzip")
	return gzip > 0 && gzip >= quality(accepted, "zstd")
}

// quality answers how much a client likes a coding, 0 when it does not take it.
func quality(accepted, coding string) float64 {
	for entry := range strings.SplitSeq(accepted, ",") {
		name, params, _ := strings.Cut(entry, ";")
		if !strings.EqualFold(strings.TrimSpace(name), coding) {
			continue
		}
		weight, found := strings.CutPrefix(strings.ToLower(strings.TrimSpace(params)), "q=")
		if !found {
			return 1
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(weight), 64)
		if err != nil {
			return 0
		}
		return q
	}
	return 0
}

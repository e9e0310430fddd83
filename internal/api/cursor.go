package api

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"net/url"
	"strconv"

	"snapshotd/internal/saga"
)

// A cursor is base64url of
//
//	version 1 | created_at int64 | step_index int32 | id 16 bytes | FNV-1a 64 of the list
//
// big endian. The hash binds it to its list: route, saga, filters and order, but
// neither limit nor view.
const (
	cursorVersion = 1
	cursorSize    = 1 + 8 + 4 + 16 + 8
)

func appendCursor(dst []byte, at *saga.Position, pattern string, q *saga.Query) []byte {
	dst = append(dst, cursorVersion)
	dst = binary.BigEndian.AppendUint64(dst, uint64(at.CreatedAt)) // #nosec G115 -- the bits, whatever the sign
	dst = binary.BigEndian.AppendUint32(dst, uint32(at.StepIndex)) // #nosec G115 -- likewise
	dst = append(dst, at.ID[:]...)
	return binary.BigEndian.AppendUint64(dst, listHash(pattern, q))
}

func formatCursor(at *saga.Position, pattern string, q *saga.Query) string {
	return base64.RawURLEncoding.EncodeToString(appendCursor(nil, at, pattern, q))
}

// parseCursor reports false for what is no cursor, or one of another list.
func parseCursor(s, pattern string, q *saga.Query) (at saga.Position, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) != cursorSize || raw[0] != cursorVersion {
		return at, false
	}
	at.CreatedAt = saga.Time(binary.BigEndian.Uint64(raw[1:])) // #nosec G115 -- the bits, whatever the sign
	at.StepIndex = int32(binary.BigEndian.Uint32(raw[9:]))     // #nosec G115 -- likewise
	copy(at.ID[:], raw[13:])
	return at, binary.BigEndian.Uint64(raw[29:]) == listHash(pattern, q)
}

func listHash(pattern string, q *saga.Query) uint64 {
	key := make([]byte, 0, 128)
	for _, text := range []string{pattern, q.SagaID.UUID.String(), q.SagaName, q.StepName, q.Status} {
		key = strconv.AppendQuote(key, text)
	}
	for _, t := range []*saga.Time{q.After, q.Before, q.At} {
		if t != nil {
			key = strconv.AppendInt(key, int64(*t), 10)
		}
		key = append(key, '|')
	}
	key = strconv.AppendBool(key, q.Ascending)
	h := fnv.New64a()
	_, _ = h.Write(key) // never fails
	return h.Sum64()
}

// next answers next_cursor and sets the Link header (RFC 8288); nil, and none, at the
// end.
func (c *call) next(at *saga.Position, q *saga.Query) *string {
	if at == nil {
		c.w.Header().Del("Link")
		return nil
	}
	cursor := formatCursor(at, c.route.pattern, q)
	query := url.Values{}
	for name, values := range c.query {
		query[name] = values
	}
	query.Set("cursor", cursor)
	link := url.URL{Path: c.r.URL.Path, RawQuery: query.Encode()}
	c.w.Header().Set("Link", "<"+link.String()+`>; rel="next"`)
	return &cursor
}

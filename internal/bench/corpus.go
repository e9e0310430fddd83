package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
)

// Every saga of the corpus has a snapshot for each of these steps.
var steps = [...]string{
	"validate_order", "check_credit", "reserve_inventory", "charge_payment", "issue_invoice",
	"book_carrier", "print_label", "hand_over", "notify_customer", "__completed__",
}

// Snapshots is how many a saga of the corpus has.
const Snapshots = len(steps)

const (
	documentSize = 2048 // about, as sent
	contexts     = 64   // different ones
)

// A Corpus is an endless row of sagas, such as an order's. What they contain is
// always the same; their ids are new in every corpus, so that a store may be
// measured again and again.
type Corpus struct {
	seed     uint64 // of the ids
	perSaga  uint64 // snapshots of a saga
	contexts [contexts][]byte
	done     [Snapshots]string // the steps done before each step, as JSON
}

// newCorpus makes one with ids of its own.
func newCorpus() *Corpus {
	c := &Corpus{seed: rand.Uint64(), perSaga: uint64(Snapshots)}
	random := rand.New(rand.NewPCG(2026, 11))
	for i := range c.contexts {
		c.contexts[i] = newContext(random)
	}
	done := "["
	for i, step := range steps {
		c.done[i] = done + "]"
		if i > 0 {
			done += ","
		}
		done += `"` + step + `"`
	}
	return c
}

func newContext(random *rand.Rand) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"order_id":"ORD-%06d","customer":{"id":%d,"name":"Ünal & Söhne","email":"orders%d@example.org","tier":"gold"},`,
		random.IntN(1e6), random.IntN(1e9), random.IntN(1e4))
	fmt.Fprintf(&b, `"ship_to":{"street":"Lindenallee %d","city":"Köln","zip":"50667","country":"DE"},"currency":"EUR","amount":%d.%02d,"express":%t,"note":null,"items":[`,
		random.IntN(200), random.IntN(1e4), random.IntN(100), random.IntN(2) == 0)
	const rest = 480 // of the document beside the items
	for first := b.Len(); b.Len() < documentSize-rest; {
		if b.Len() > first {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"sku":"SKU-%05d","qty":%d,"price":"%d.%02d","warehouse":"eu-%d"}`,
			random.IntN(1e5), 1+random.IntN(9), random.IntN(500), random.IntN(100), random.IntN(4))
		if b.Len() == first {
			break
		}
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// filler is a document of exactly so many bytes.
func (c *Corpus) filler(size int) []byte {
	return bytes.Repeat(c.contexts[0], size/len(c.contexts[0])+1)[:size]
}

// A Document is the nth snapshot of a corpus.
type Document struct {
	ID, SagaID uuid.UUID
	Step       string
	StepIndex  int
	CreatedAt  time.Time
	JSON       []byte // the whole record, compact; valid until the next call
}

// Document makes the nth snapshot, appending its JSON to buf.
func (c *Corpus) Document(n uint64, buf []byte) Document {
	step := int(n % uint64(Snapshots))
	d := Document{
		ID: c.SnapshotID(n), SagaID: c.SagaID(n / c.perSaga), Step: steps[step], StepIndex: step,
		CreatedAt: time.UnixMicro(1_790_000_000_000_000 + int64(n)*1000).UTC(),
	}
	buf = append(buf, `{"snapshot_id":"`...)
	buf = appendID(buf, d.ID)
	buf = append(buf, `","saga_id":"`...)
	buf = appendID(buf, d.SagaID)
	buf = append(buf, `","saga_name":"order_processing","step_name":"`...)
	buf = append(buf, d.Step...)
	buf = append(buf, `","step_index":`...)
	buf = append(buf, '0'+byte(step))
	buf = append(buf, `,"status":"executing","context":`...)
	buf = append(buf, c.contexts[n%contexts]...)
	buf = append(buf, `,"completed_steps":`...)
	buf = append(buf, c.done[step]...)
	buf = append(buf, `,"external_refs":{"invoice":"s3://invoices/2026/11/4711.pdf"},"created_at":"`...)
	buf = d.CreatedAt.AppendFormat(buf, "2006-01-02T15:04:05.000000Z")
	buf = append(buf, `"}`...)
	d.JSON = buf
	return d
}

// Checkpoint is the step that replays start from.
const Checkpoint = "charge_payment"

// Override is what replays change.
const Override = `{"amount":249.90,"payment":{"card":"4242"}}`

// SnapshotID is the id of the nth snapshot.
func (c *Corpus) SnapshotID(n uint64) uuid.UUID { return c.id(n, 1) }

// SagaID is the id of the nth saga, which has the snapshots from 10n on.
func (c *Corpus) SagaID(n uint64) uuid.UUID { return c.id(n, 2) }

func (c *Corpus) id(n, kind uint64) uuid.UUID {
	var id uuid.UUID
	high := mix(c.seed + n*4 + kind)
	binary.BigEndian.PutUint64(id[:], high)
	binary.BigEndian.PutUint64(id[8:], mix(high^c.seed))
	id[6] = id[6]&0x0f | 0x40 // random (RFC 9562)
	id[8] = id[8]&0x3f | 0x80
	return id
}

// mix is the finalizer of SplitMix64: one to one, and looks random.
func mix(v uint64) uint64 {
	v += 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}

// appendID appends the 36 characters of an id.
func appendID(buf []byte, id uuid.UUID) []byte {
	const digits = "0123456789abcdef"
	for i, b := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			buf = append(buf, '-')
		}
		buf = append(buf, digits[b>>4], digits[b&15])
	}
	return buf
}

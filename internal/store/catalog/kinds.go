package catalog

import "snapshotd/internal/saga"

// A kind is what a search may ask of a snapshot beside its time. Many snapshots are
// of one kind, which has a number; texts have, too. Numbers begin with 1.
type kind struct{ name, step, status uint32 }

// kinds numbers the kinds of the snapshots that there are.
type kinds struct {
	texts   texts
	numbers map[kind]uint32
	list    []kindUse // by number
	free    []uint32  // numbers
}

type kindUse struct {
	kind
	uses uint32
}

// texts numbers what the fields of kinds say.
type texts struct {
	numbers map[string]uint32
	list    []textUse // by number
	free    []uint32
}

type textUse struct {
	text string
	uses uint32
}

func newKinds() kinds {
	return kinds{
		numbers: map[kind]uint32{}, list: make([]kindUse, 1),
		texts: texts{numbers: map[string]uint32{}, list: make([]textUse, 1)},
	}
}

// take answers the number of a summary's kind, which is used once more.
func (k *kinds) take(s *saga.Summary) uint32 {
	t := &k.texts
	key := kind{t.numbers[s.SagaName], t.numbers[s.StepName], t.numbers[s.Status]}
	n := k.numbers[key]
	if n == 0 {
		key = kind{t.take(s.SagaName), t.take(s.StepName), t.take(s.Status)}
		n = number(&k.list, &k.free)
		k.list[n].kind = key
		k.numbers[key] = n
	}
	k.list[n].uses++
	return n
}

// release says that a kind is used once less.
func (k *kinds) release(n uint32) {
	use := &k.list[n]
	if use.uses--; use.uses > 0 {
		return
	}
	delete(k.numbers, use.kind)
	k.texts.release(use.name)
	k.texts.release(use.step)
	k.texts.release(use.status)
	*use = kindUse{}
	k.free = append(k.free, n)
}

func (t *texts) take(text string) uint32 {
	n := t.numbers[text]
	if n == 0 {
		n = number(&t.list, &t.free)
		t.list[n].text = text
		t.numbers[text] = n
	}
	t.list[n].uses++
	return n
}

func (t *texts) release(n uint32) {
	use := &t.list[n]
	if use.uses--; use.uses > 0 {
		return
	}
	delete(t.numbers, use.text)
	*use = textUse{}
	t.free = append(t.free, n)
}

// number answers a number that is free, and has room for it.
func number[T any](list *[]T, free *[]uint32) uint32 {
	if last := len(*free) - 1; last >= 0 {
		n := (*free)[last]
		*free = (*free)[:last]
		return n
	}
	var none T
	*list = append(*list, none)
	return uint32(len(*list) - 1) // #nosec G115 -- a count of what is in memory
}

func (k *kinds) text(n uint32) string { return k.texts.list[n].text }

// A mask tells which names, steps and statuses may be among some snapshots: those
// whose bit is set, which several share.
type mask struct{ names, steps, statuses uint64 }

func (m *mask) add(o mask) {
	m.names |= o.names
	m.steps |= o.steps
	m.statuses |= o.statuses
}

func (k kind) mask() mask {
	return mask{1 << (k.name % 64), 1 << (k.step % 64), 1 << (k.status % 64)}
}

func (k *kinds) mask(n uint32) mask { return k.list[n].mask() }

// wanted are the kinds that a filter chooses; its numbers are 0 where it does not
// care. It holds as long as the kinds do not change.
type wanted struct {
	kind
	all  []kindUse
	bits mask
}

// wanted answers false if no snapshot passes the filter.
func (k *kinds) wanted(f *saga.Filter) (w wanted, any bool) {
	w.all, any = k.list, true
	number := func(text string) (n uint32, bit uint64) {
		if text == "" {
			return 0, 0
		}
		n = k.texts.numbers[text]
		any = any && n != 0
		return n, 1 << (n % 64)
	}
	w.name, w.bits.names = number(f.SagaName)
	w.step, w.bits.steps = number(f.StepName)
	w.status, w.bits.statuses = number(f.Status)
	if any && w.name != 0 && w.step != 0 && w.status != 0 {
		any = k.numbers[w.kind] != 0
	}
	return w, any
}

func (w *wanted) has(n uint32) bool {
	k := &w.all[n].kind
	return (w.name == 0 || w.name == k.name) && (w.step == 0 || w.step == k.step) && (w.status == 0 || w.status == k.status)
}

func (w *wanted) mayBeIn(m *mask) bool {
	return m.names&w.bits.names == w.bits.names && m.steps&w.bits.steps == w.bits.steps && m.statuses&w.bits.statuses == w.bits.statuses
}

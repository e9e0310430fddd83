package catalog

import (
	"slices"
	"sort"
)

// blockSize is how many items a block of an order holds at most.
const blockSize = 512

// An order is a list of numbered things, sorted. It is kept in blocks, so that an
// insertion or a removal moves at most one of them, whatever the length, and so that
// a search for something rare passes most of them over unread. What the order is
// comes with each call: a function that compares a thing with the place looked for.
// The zero value is empty.
type order struct {
	blocks []block // none is empty
	len    int
}

type block struct {
	items []item
	kinds mask // of all items, and perhaps of some that have gone
}

// An item is the number of a snapshot or a saga, and the kind of the snapshot or of
// the saga's latest one.
type item struct{ number, kind uint32 }

// A place is an index into the blocks and one into the items of that block.
type place struct{ block, item int }

// seek answers the place of the first item that does not lie before, else that
// behind the last one.
func (o *order) seek(before func(number uint32) bool) place {
	b := sort.Search(len(o.blocks), func(i int) bool { return !before(o.blocks[i].last().number) })
	if b == len(o.blocks) {
		return place{b, 0}
	}
	items := o.blocks[b].items
	return place{b, sort.Search(len(items), func(i int) bool { return !before(items[i].number) })}
}

func (b *block) last() item { return b.items[len(b.items)-1] }

// rank answers how many items lie before a place.
func (o *order) rank(p place) int {
	n := p.item
	for i := range o.blocks[:p.block] {
		n += len(o.blocks[i].items)
	}
	return n
}

func (o *order) first() item { return o.blocks[0].items[0] }
func (o *order) last() item  { return o.blocks[len(o.blocks)-1].last() }

// insert puts an item of a kind into its place; before tells what lies before it.
func (o *order) insert(it item, kind mask, before func(number uint32) bool) {
	o.len++
	n := len(o.blocks)
	if n == 0 || before(o.last().number) { // as nearly always: it is the newest
		if n == 0 || len(o.blocks[n-1].items) == blockSize {
			o.blocks = append(o.blocks, block{})
			n++
		}
		o.blocks[n-1].insert(len(o.blocks[n-1].items), it, kind)
		return
	}
	p := o.seek(before)
	b := &o.blocks[p.block]
	if len(b.items) == blockSize {
		// Both halves may hold what was in the whole.
		behind := block{items: append(make([]item, 0, blockSize), b.items[blockSize/2:]...), kinds: b.kinds}
		b.items = b.items[:blockSize/2]
		o.blocks = slices.Insert(o.blocks, p.block+1, behind)
		if b = &o.blocks[p.block]; p.item > blockSize/2 {
			b, p.item = &o.blocks[p.block+1], p.item-blockSize/2
		}
	}
	b.insert(p.item, it, kind)
}

func (b *block) insert(i int, it item, kind mask) {
	if n := len(b.items); n == cap(b.items) {
		b.items = append(make([]item, 0, min(max(1, 2*n), blockSize)), b.items...)
	}
	b.items = slices.Insert(b.items, i, it)
	b.kinds.add(kind)
}

// remove takes out the item at a place. What becomes sparse is put together, lest
// little takes the memory of much.
func (o *order) remove(p place) {
	o.len--
	b := &o.blocks[p.block]
	b.items = slices.Delete(b.items, p.item, p.item+1)
	switch n := len(b.items); {
	case n == 0:
		o.drop(p.block)
	case p.block+1 < len(o.blocks) && n+len(o.blocks[p.block+1].items) <= blockSize/2:
		next := &o.blocks[p.block+1]
		b.items = append(b.items, next.items...)
		b.kinds.add(next.kinds)
		o.drop(p.block + 1)
	case n <= cap(b.items)/4:
		b.items = append(make([]item, 0, 2*n), b.items...)
	}
}

func (o *order) drop(b int) {
	o.blocks = slices.Delete(o.blocks, b, b+1)
	if n := len(o.blocks); n == 0 {
		o.blocks = nil
	} else if n <= cap(o.blocks)/4 {
		o.blocks = slices.Clone(o.blocks)
	}
}

// fill makes an empty order of sorted items.
func (o *order) fill(items []item, kind func(uint32) mask) {
	o.len = len(items)
	o.blocks = make([]block, 0, (len(items)+blockSize-1)/blockSize)
	for part := range slices.Chunk(items, blockSize) {
		b := block{items: slices.Clone(part)}
		for _, it := range part {
			b.kinds.add(kind(it.kind))
		}
		o.blocks = append(o.blocks, b)
	}
}

// scan calls visit for the items between two places that are of a wanted kind, until
// it answers false or about limit items have been looked at. It answers the last item
// that it has seen to, and whether there may be more behind it.
func (o *order) scan(low, high place, ascending bool, wanted *wanted, limit int, visit func(item) bool) (last item, more bool) {
	if ascending {
		for b := low.block; b <= high.block && b < len(o.blocks); b++ {
			items := o.part(b, low, high)
			if len(items) == 0 {
				continue
			}
			last = items[len(items)-1]
			if limit--; !wanted.mayBeIn(&o.blocks[b].kinds) {
				continue
			}
			for _, it := range items {
				if wanted.has(it.kind) && !visit(it) {
					return it, false
				}
			}
			if limit -= len(items); limit <= 0 {
				return last, true
			}
		}
		return last, false
	}
	for b := min(high.block, len(o.blocks)-1); b >= low.block; b-- {
		items := o.part(b, low, high)
		if len(items) == 0 {
			continue
		}
		last = items[0]
		if limit--; !wanted.mayBeIn(&o.blocks[b].kinds) {
			continue
		}
		for _, it := range slices.Backward(items) {
			if wanted.has(it.kind) && !visit(it) {
				return it, false
			}
		}
		if limit -= len(items); limit <= 0 {
			return last, true
		}
	}
	return last, false
}

// part answers what of a block lies between two places.
func (o *order) part(b int, low, high place) []item {
	items := o.blocks[b].items
	if b == high.block {
		items = items[:high.item]
	}
	if b == low.block {
		items = items[min(low.item, len(items)):]
	}
	return items
}

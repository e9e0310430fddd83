package catalog

// Sizes answers how much there is room for.
func (c *Catalog) Sizes() (snapshots, kinds, blocks int) {
	return c.entries.len, len(c.kinds.list), len(c.byTime.blocks) + len(c.byExpiry.blocks) + len(c.byActivity.blocks)
}

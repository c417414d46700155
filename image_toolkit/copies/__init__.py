"""Which rows are all but the same: by equal values, by perceptual hashes, by vectors."""

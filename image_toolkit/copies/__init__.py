"""Finding copies and near-copies: by equal values, by perceptual hashes, and by vectors.

`near_hashes` and `near_vectors` find similar rows, `likeness` is the form of what they find, and
`groups` joins similar rows into groups.
"""

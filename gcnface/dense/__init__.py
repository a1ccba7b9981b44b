"""One pass of a network to dense points, pose and texture: PRNet's alignment and the flattening spatial transformer."""

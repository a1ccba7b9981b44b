"""Scripts that build the shipped face model."""

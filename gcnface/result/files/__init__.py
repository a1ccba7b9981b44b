"""The files that a face is written to and read from."""

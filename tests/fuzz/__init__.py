"""Hostile inputs with what must come of them, and processes killed at any moment; docs/fuzz.md tells more."""

"""Measurements of the shipped system, each a command."""

"""Rasteriser backends behind one signature."""

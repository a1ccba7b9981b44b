"""Rasterisers with one signature; `render.rasterize` chooses."""

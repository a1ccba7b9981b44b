"""Meshes into pictures: camera, rasteriser, shading, visibility, sampling, baking."""

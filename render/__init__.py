"""Meshes into pictures: camera, rasteriser, shading, visibility, sampling, baking."""

from render.backends import available_backends, backend, use_backend

__all__ = ["available_backends", "backend", "use_backend"]

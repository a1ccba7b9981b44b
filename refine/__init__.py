"""Refinement: mesh graph networks, FaceNet, refinement losses."""

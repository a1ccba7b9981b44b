"""Mesh pyramid: pooling by choosing vertices, un-pooling by barycentric weights."""

from refine.decimation import Decimation, quadric_decimate
from refine.upsampling import barycentric_upsampling, component_labels

__all__ = ["Decimation", "barycentric_upsampling", "component_labels", "quadric_decimate"]

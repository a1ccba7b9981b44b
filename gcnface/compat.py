"""Cures for what other packages get wrong, to be applied before their first import."""

from refine.torchvision_compat import ensure_torchvision

__all__ = ["ensure_torchvision"]

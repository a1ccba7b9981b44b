"""Faces followed through videos: identity and texture pooled, pose and expression per frame."""

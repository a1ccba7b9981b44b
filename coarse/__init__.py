"""Coarse stage: morphable model, regression and fitting of its coefficients."""

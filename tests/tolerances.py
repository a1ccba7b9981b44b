"""How near is near: the one table of what two ways to compute the same may differ by.

A row is the keyword arguments of `torch.testing.assert_close`. Which row applies is a matter of how much is computed
between the two, not of what happens to pass; bounds that state a fact about faces (millimetres, pixels, decibels) are
written in the tests themselves.
"""

import torch

EQUAL = {"atol": 0.0, "rtol": 0.0}
"""The same operations in the same order."""

ROUNDING = {"atol": 1e-6, "rtol": 0.0}
"""A few float32 operations on numbers about 1."""

SUMS = {"atol": 1e-5, "rtol": 0.0}
"""float32 sums of up to some hundred terms, rotations, harmonics."""

CHAINS = {"atol": 1e-4, "rtol": 0.0}
"""float32 through several layers or a rasterization; integrals by quadrature."""

STORED = {"atol": 1e-3, "rtol": 0.0}
"""What has been stored as float16, or is measured in px and mm of a face."""

DOUBLE = {"atol": 1e-12, "rtol": 0.0}
"""A few float64 operations on numbers about 1."""

DOUBLE_SUMS = {"atol": 1e-9, "rtol": 0.0}
"""float64 sums and series."""

OF_DTYPE = {torch.float32: {"atol": 1e-4, "rtol": 1e-4}, torch.float64: {"atol": 1e-9, "rtol": 1e-9}}
"""By the type computed in, on any device, against the same in float64 on the CPU."""

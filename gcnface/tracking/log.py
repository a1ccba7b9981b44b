"""Rows of numbers, one a frame, on the disk: a video's length is no matter of memory."""

from __future__ import annotations

import tempfile

import numpy as np
from numpy.typing import NDArray


class RowLog:
    """Rows of float32 in a temporary file that goes with the log.

    Args:
        width: numbers a row.
    """

    def __init__(self, width: int) -> None:
        self.width, self.count = width, 0
        self._file = tempfile.TemporaryFile(prefix="gcnface-track-")

    def append(self, row: NDArray[np.float64]) -> None:
        """Add a row (width,)."""
        if row.shape != (self.width,):
            raise ValueError(f"row has shape {row.shape}; expected ({self.width},)")
        self._file.write(row.astype(np.float32).tobytes())
        self.count += 1

    def rows(self) -> NDArray[np.float32]:
        """(N, width), read from the disk as it is used."""
        self._file.flush()
        if not self.count:
            return np.zeros((0, self.width), np.float32)
        return np.memmap(self._file, np.float32, "r", shape=(self.count, self.width))

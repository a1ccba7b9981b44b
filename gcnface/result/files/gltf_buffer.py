"""The binary chunk of a GLB file as it grows, with the views and accessors into it (glTF 2.0, section 3.6)."""

from __future__ import annotations

from typing import Any

import numpy as np

ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
_COMPONENT = {np.dtype(np.float32): 5126, np.dtype(np.uint32): 5125, np.dtype(np.uint16): 5123}
_TYPE = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}


class Buffer:
    """The binary chunk as it grows, with the views and accessors into it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, content: bytes, target: int | None = None) -> int:
        """Append bytes at a multiple of four; the index of their view."""
        self.data.extend(bytes(-len(self.data) % 4))
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(content)}
        if target is not None:
            view["target"] = target
        self.data.extend(content)
        self.views.append(view)
        return len(self.views) - 1

    def accessor(
        self, array: np.ndarray, target: int | None = None, *, normalized: bool = False, bounds: bool = False
    ) -> int:
        """Append (N, C) values; the index of their accessor."""
        accessor: dict[str, Any] = {
            "bufferView": self.view(array.tobytes(), target),
            "componentType": _COMPONENT[array.dtype],
            "count": len(array),
            "type": _TYPE[array.shape[1]],
        }
        if normalized:
            accessor["normalized"] = True
        if bounds:
            accessor["min"], accessor["max"] = array.min(0).tolist(), array.max(0).tolist()
        return self._add(accessor)

    def sparse(self, rows: np.ndarray, values: np.ndarray, count: int, *, bounds: bool = False) -> int:
        """Append (count, C) floats that are 0 but for `values` (n, C) in `rows` (n,); the index of their accessor."""
        index = rows.astype(np.uint16 if count <= 65536 else np.uint32)
        accessor: dict[str, Any] = {
            "componentType": _COMPONENT[np.dtype(np.float32)],
            "count": count,
            "type": _TYPE[values.shape[1]],
            "sparse": {
                "count": len(rows),
                "indices": {"bufferView": self.view(index.tobytes()), "componentType": _COMPONENT[index.dtype]},
                "values": {"bufferView": self.view(values.astype(np.float32).tobytes())},
            },
        }
        if bounds:
            rest = [np.zeros((1, values.shape[1]), np.float32)] if len(rows) < count else []
            every = np.concatenate([values, *rest])
            accessor["min"], accessor["max"] = every.min(0).tolist(), every.max(0).tolist()
        return self._add(accessor)

    def _add(self, accessor: dict[str, Any]) -> int:
        self.accessors.append(accessor)
        return len(self.accessors) - 1

"""What each array of a result is: one table for the records, for their file and for docs/outputs.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render.shapes import check_shape


@dataclass(frozen=True)
class ArrayLayout:
    """What an array must be.

    Attributes:
        shape: as `render.shapes.check_shape` takes it; a letter is the same size in all arrays of one result: V
            vertices, F faces, N uv, T side of the texture, Ni, Ne and Na coefficients.
        low: smallest value; NaN and infinity are never allowed.
        high: largest value.
        dtype: the type that a record keeps.
        spread: whether its rows must differ; points that are all one are no surface.
    """

    shape: str
    low: float
    high: float
    dtype: type[np.generic] = np.float32
    spread: bool = False

    def checked(self, name: str, value: Any) -> NDArray[Any]:
        """The value, whose shape was looked at, as a contiguous array of this layout.

        Raises:
            ValueError: it holds no numbers, or one that is not finite or out of range.
        """
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{name} holds {array.dtype}; expected numbers")
        if array.size:
            low, high = array.min(), array.max()
            expected = f"expected numbers from {self.low:g} to {self.high:g}"
            if not (np.isfinite(low) and np.isfinite(high)):
                raise ValueError(f"{name} holds numbers that are not finite; {expected}")
            if low < self.low or high > self.high:
                raise ValueError(f"{name} holds numbers from {low:g} to {high:g}; {expected}")
            if self.spread and (array == array[:1]).all():
                raise ValueError(f"{name} holds one point over and over; expected a surface")
        return np.ascontiguousarray(array, dtype=self.dtype)


_MM, _PX, _COEFFICIENT, _LINEAR = 1e5, 1e6, 1e4, 1e4
"""Bounds that no face comes near, and within which nothing that is computed from them overflows."""
_INDEX = 2.0**31 - 1

_POSITION = ArrayLayout("V 3", -_MM, _MM, spread=True)
_COLOR = ArrayLayout("V 3", -0.01, 1.01)

MESH_LAYOUT: Mapping[str, ArrayLayout] = {
    "vertices": _POSITION,
    "faces": ArrayLayout("F 3", 0, _INDEX, np.int32),
    "vertex_rgb": _COLOR,
    "uv": ArrayLayout("N 2", -0.01, 1.01),
    "uv_faces": ArrayLayout("F 3", 0, _INDEX, np.int32),
    "texture": ArrayLayout("T T 3", -10, 10),
    "normals": ArrayLayout("V 3", -1.01, 1.01),
    "landmarks68": ArrayLayout("68 3", -_MM, _MM),
    "landmarks468": ArrayLayout("468 3", -_MM, _MM),
}
"""Arrays of `gcnface.result.mesh.TexturedMesh`, which clips its texture to [0, 1]."""

RECORD_LAYOUT: Mapping[str, ArrayLayout] = {
    "vertices_cam": _POSITION,
    "px_from_cam": ArrayLayout("3 3", -1e9, 1e9),
    "vertex_rgb": _COLOR,
    "vertex_rgb_coarse": _COLOR,
    "vertex_albedo": _COLOR,
    "visible": ArrayLayout("V", 0, 1, np.bool_),
    "landmarks68": ArrayLayout("68 3", -_PX, _PX),
    "landmarks468": ArrayLayout("468 3", -_PX, _PX),
    "identity": ArrayLayout("Ni", -_COEFFICIENT, _COEFFICIENT),
    "expression": ArrayLayout("Ne", -_COEFFICIENT, _COEFFICIENT),
    "albedo": ArrayLayout("Na", -_COEFFICIENT, _COEFFICIENT),
    "skin_tone": ArrayLayout("3", 0, _LINEAR),
    "rotation": ArrayLayout("3", -100, 100),
    "translation": ArrayLayout("3", -_MM, _MM),
    "lighting": ArrayLayout("9 3", -_LINEAR, _LINEAR),
    "crop_from_photo": ArrayLayout("3 3", -1e9, 1e9),
    "texel_source": ArrayLayout("T T", 0, 3, np.uint8),
    "texel_photo": ArrayLayout("T T", 0, 255, np.uint8),
    "texel_confidence": ArrayLayout("T T", 0, 255, np.uint8),
    "vertex_light": ArrayLayout("V 3", 0, _LINEAR),
}
"""Arrays of `gcnface.result.reconstruction.Reconstruction`."""

NOT_ALWAYS = ("skin_tone", "texel_photo", "texel_confidence", "vertex_light")
"""Arrays that a record may be made without, and that older files lack."""


def checked_arrays(
    values: Mapping[str, Any], layouts: Mapping[str, ArrayLayout], **sizes: int
) -> dict[str, NDArray[Any]]:
    """Arrays held to their layouts.

    Args:
        values: the arrays by name.
        layouts: by the same names.
        sizes: of letters that are known; the others are what the first array has.

    Raises:
        ShapeError: an array has another shape.
        ValueError: an array holds no numbers, or one that is not finite or out of range.
    """
    arrays = {}
    for name, value in values.items():
        array = np.asarray(value)
        sizes = check_shape(name, array, layouts[name].shape, **sizes)
        arrays[name] = layouts[name].checked(name, array)
    return arrays

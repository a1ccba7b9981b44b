"""The face model record: geometry, bases, landmarks, texture layout and the ready pooling pyramid of one topology.

The shipped model (`load_face_model()`) is built by ``python -m gcnface.building.face_model``; see docs/face_model.md.
`coarse.model_from_arrays` and the readers in coarse/readers fill the same record from other models.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, wraps
from itertools import pairwise
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary
from zipfile import is_zipfile

import numpy as np
from scipy.sparse import csr_matrix

from coarse.landmark_transfer import landmarks68_through
from coarse.upsampling import SurfacePoints
from coarse.weights import weights_file
from render.errors import GcnfaceError, WeightsError

REGIONS = ("face", "eyes_nose_mouth", "ears", "neck", "scalp", "eyeballs", "mouth_interior")
DEFAULT_FACE_MODEL = Path(__file__).parent / "assets" / "face_model.npz"
_REMEDY = "name a file of save_face_model, or reinstall the package"

# The 68 points of the iBUG 300-W mark-up as points of the 468-point mesh: jaw 0-16 from the subject's right to
# left, brows 17-26, nose 27-35, eyes 36-47, outer lips 48-59, inner lips 60-67. They follow the two-dimensional form
# (see `coarse.contour68`); the three-dimensional one are points of its own, `FaceModel.landmarks68`.
# fmt: off
LANDMARKS68_FROM_468 = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301,
    168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,
    78, 82, 13, 312, 308, 317, 14, 87,
)

# The mirror image of each of the 68 points.
LANDMARKS68_MIRROR = (
    16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0,
    26, 25, 24, 23, 22, 21, 20, 19, 18, 17,
    27, 28, 29, 30, 35, 34, 33, 32, 31,
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55,
    64, 63, 62, 61, 60, 67, 66, 65,
)
# fmt: on

# Image-left eye, image-right eye, nose tip, image-left and image-right mouth corner: each the mean of 468-points.
LANDMARKS5_FROM_468 = (
    (33, 160, 158, 133, 153, 144),
    (362, 385, 387, 263, 373, 380),
    (4,),
    (61,),
    (291,),
)


class FaceModelError(GcnfaceError, ValueError):
    """A face model does not hold what it should."""


@dataclass(frozen=True)
class PyramidLevel:
    """One level of the pooling pyramid and the way to the next coarser one.

    Attributes:
        faces: (F, 3) int32 triangles of this level.
        down_index: (V',) int32 vertices of this level that the coarser level keeps; empty on the last level.
        up_index: (V, 3) int32 vertices of the coarser level that this level's vertices lie between; empty on the last.
        up_weight: (V, 3) float32 their weights, rows sum to 1: x = sum_j weight_j * coarse[index_j].
    """

    faces: np.ndarray
    down_index: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    up_index: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.int32))
    up_weight: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.float32))


@dataclass(frozen=True)
class CageShape:
    """The shape bases on the control cage that a subdivision surface expands (what the file stores).

    Attributes:
        mean: (Vc, 3) float32 mm.
        identity: (Vc, 3, Ni) float32.
        expression: (Vc, 3, Ne) float32.
        stages: sparse matrices applied in turn; the product is (V, Vc).
    """

    mean: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    stages: tuple[csr_matrix, ...]

    def expand(self, offsets: np.ndarray) -> np.ndarray:
        """Subdivide values (Vc, ...) on the cage to values (V, ...) float32 on the finest mesh."""
        flat = offsets.reshape(len(offsets), -1)
        for stage in self.stages:
            flat = stage @ flat
        return np.ascontiguousarray(flat, dtype=np.float32).reshape(-1, *offsets.shape[1:])


@dataclass(frozen=True, eq=False)
class FaceModel:
    """A linear 3D face model in model space (mm, x to the viewer's right, y up, z towards the viewer).

    Models are compared by identity; `fingerprint` tells whether two hold the same.

    Attributes:
        name: of the model.
        licence: one line.
        faces: (F, 3) int32, counter-clockwise seen from outside.
        mirror: (V,) int32 index of each vertex's mirror image in x.
        region: (V,) uint8 index into REGIONS.
        mean: (V, 3) float32 mm.
        identity_basis: (V, 3, Ni) float32 mm per standard deviation (coefficients are unit Gaussian).
        expression_basis: (V, 3, Ne) float32 mm (coefficients in 0..1).
        expression_names: (Ne) ARKit names.
        albedo_mean: (V, 3) float32 linear RGB in [0, 1].
        albedo_basis: (V, 3, Na) float32 per standard deviation; Na may be 0.
        landmarks468_face: (468,) int32 index into faces.
        landmarks468_bary: (468, 3) float32 barycentric coordinates in that face.
        landmarks68_face: (68,) int32 index into faces, of the 68 points of 300W-LP and AFLW2000-3D.
        landmarks68_bary: (68, 3) float32 barycentric coordinates in that face.
        uv: (Nuv, 2) float32 exported texture coordinates, v up.
        uv_faces: (F, 3) int32 index into uv, corner for corner as faces.
        chart_uv: (V, 2) float32 the face chart on the unit square, mirror plane at u = 1/2; NaN outside it.
        chart_faces: (Fc,) int32 the faces inside the chart.
        levels: the pooling pyramid, levels[0] the finest with this model's own faces.
        cage: how the shape bases are stored, None when they are dense.
    """

    name: str
    licence: str
    faces: np.ndarray
    mirror: np.ndarray
    region: np.ndarray
    mean: np.ndarray
    identity_basis: np.ndarray
    expression_basis: np.ndarray
    expression_names: tuple[str, ...]
    albedo_mean: np.ndarray
    albedo_basis: np.ndarray
    landmarks468_face: np.ndarray
    landmarks468_bary: np.ndarray
    landmarks68_face: np.ndarray
    landmarks68_bary: np.ndarray
    uv: np.ndarray
    uv_faces: np.ndarray
    chart_uv: np.ndarray
    chart_faces: np.ndarray
    levels: tuple[PyramidLevel, ...]
    cage: CageShape | None = None

    def __post_init__(self) -> None:
        _check(self)

    @cached_property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits of the mesh and the shape bases: what coefficients and vertices mean."""
        checksum = 0
        for array in (self.faces, self.mean, self.identity_basis, self.expression_basis):
            checksum = zlib.crc32(np.ascontiguousarray(array).data, checksum)
        return f"{checksum:08x}"

    @property
    def points468(self) -> SurfacePoints:
        """Where the 468 points lie on the mesh."""
        return SurfacePoints(self.landmarks468_face, self.landmarks468_bary)

    @property
    def points68(self) -> SurfacePoints:
        """Where the 68 points lie on the mesh."""
        return SurfacePoints(self.landmarks68_face, self.landmarks68_bary)

    def landmarks468(self, vertices: np.ndarray) -> np.ndarray:
        """The 468 points (468, 3) on `vertices` (V, 3)."""
        return self.points468.on(vertices, self.faces)

    def landmarks68(self, vertices: np.ndarray) -> np.ndarray:
        """The 68 points (68, 3) on `vertices` (V, 3), on the skin itself: the jaw does not slide with the outline."""
        return self.points68.on(vertices, self.faces)

    def region_mask(self, *names: str) -> np.ndarray:
        """(V,) bool, the vertices of the named regions."""
        return np.isin(self.region, [REGIONS.index(name) for name in names])


P = ParamSpec("P")
Built = TypeVar("Built")


def kept_with_model(build: Callable[Concatenate[FaceModel, P], Built]) -> Callable[Concatenate[FaceModel, P], Built]:
    """Keep what a function builds of a model, by its further positional arguments, for as long as the model lives."""
    kept: WeakKeyDictionary[FaceModel, dict[tuple[object, ...], Built]] = WeakKeyDictionary()

    @wraps(build)
    def found(model: FaceModel, *args: P.args, **kwargs: P.kwargs) -> Built:
        of_model = kept.setdefault(model, {})
        if args not in of_model:
            of_model[args] = build(model, *args, **kwargs)
        return of_model[args]

    return found


def identity_mirror_sign(model: FaceModel) -> np.ndarray:
    """(Ni,) +1 or -1: the sign an identity coefficient gets when the face is mirrored in x."""
    flipped = model.identity_basis[model.mirror] * np.array([-1.0, 1.0, 1.0], np.float32)[:, None]
    return np.where((flipped * model.identity_basis).sum((0, 1)) >= 0, 1, -1).astype(np.int8)


def expression_mirror(names: tuple[str, ...]) -> np.ndarray:
    """(Ne,) index of the unit on the other side, ("jawLeft" <-> "jawRight"); itself where a unit has no side."""

    def other(name: str) -> str:
        swapped = name.removesuffix("Left") + "Right" if name.endswith("Left") else name
        return name.removesuffix("Right") + "Left" if name.endswith("Right") else swapped

    return np.array([names.index(other(name)) for name in names], dtype=np.int64)


def load_face_model(path: str | Path | None = None) -> FaceModel:
    """Read a face model; None reads the shipped one.

    Raises:
        WeightsError: the file is missing, damaged or no face model.
    """
    file = Path(path) if path is not None else DEFAULT_FACE_MODEL
    with weights_file(file, "face model arrays", _REMEDY):
        if not is_zipfile(file):
            raise WeightsError(file, "is no archive of arrays (npz), or a damaged one", _REMEDY)
        with np.load(file, allow_pickle=False) as archive:
            return _from_arrays(archive)


def save_face_model(model: FaceModel, path: str | Path) -> None:
    """Write a face model as compressed npz: bases as float16, on the cage where the model has one.

    Raises:
        FaceModelError: when the shape bases were replaced but the cage was left as it was.
    """
    arrays = {name: getattr(model, name) for name in _PLAIN}
    arrays |= {"name": np.array(model.name), "licence": np.array(model.licence)}
    arrays["expression_names"] = np.array(model.expression_names)
    arrays |= {name: getattr(model, name).astype(np.float16) for name in ("albedo_mean", "albedo_basis")}
    arrays |= _shape_arrays(model)
    for i, level in enumerate(model.levels):
        arrays |= {f"level{i}_{name}": getattr(level, name) for name in _LEVEL}
    np.savez_compressed(Path(path), **arrays)


_POINTS68 = ("landmarks68_face", "landmarks68_bary")
_PLAIN = (
    "faces", "mirror", "region", "landmarks468_face", "landmarks468_bary", *_POINTS68,
    "uv", "uv_faces", "chart_uv", "chart_faces",
)  # fmt: skip
_LEVEL = ("faces", "down_index", "up_index", "up_weight")


def _shape_arrays(model: FaceModel) -> dict[str, np.ndarray]:
    if model.cage is None:
        bases = {name: getattr(model, name).astype(np.float16) for name in ("identity_basis", "expression_basis")}
        return {"mean": model.mean, **bases}
    _check_cage(model, model.cage)
    arrays = {"cage_mean": model.cage.mean}
    arrays |= {f"cage_{name}": getattr(model.cage, name).astype(np.float16) for name in ("identity", "expression")}
    for i, stage in enumerate(model.cage.stages):
        arrays |= {
            f"stage{i}_indptr": stage.indptr.astype(np.int32),
            f"stage{i}_indices": stage.indices.astype(np.uint16 if stage.shape[1] < 65536 else np.int32),
            f"stage{i}_weights": stage.data.astype(np.float32),
            f"stage{i}_columns": np.array(stage.shape[1]),
        }
    return arrays


def _from_arrays(arrays: Mapping[str, np.ndarray]) -> FaceModel:
    """From an open archive, of which only what belongs to a face model is unpacked."""
    cage = _cage(arrays) if "cage_mean" in arrays else None
    mirror = arrays["mirror"]
    if cage is not None:
        mean = _symmetric(cage.expand(cage.mean), mirror)
        identity, expression = cage.expand(cage.identity), cage.expand(cage.expression)
    else:
        mean, identity, expression = (_floats(arrays, name) for name in ("mean", "identity_basis", "expression_basis"))
    levels = tuple(
        PyramidLevel(*(arrays[f"level{i}_{name}"] for name in _LEVEL))
        for i in range(len(arrays))
        if f"level{i}_faces" in arrays
    )
    return FaceModel(
        name=str(arrays["name"]),
        licence=str(arrays["licence"]),
        mean=mean,
        identity_basis=identity,
        expression_basis=expression,
        expression_names=tuple(str(name) for name in arrays["expression_names"]),
        albedo_mean=_floats(arrays, "albedo_mean"),
        albedo_basis=_floats(arrays, "albedo_basis"),
        levels=levels,
        cage=cage,
        **{name: arrays[name] for name in _PLAIN if name not in _POINTS68},
        **_points68(arrays, mean),
    )


def _points68(arrays: Mapping[str, np.ndarray], mean: np.ndarray) -> dict[str, np.ndarray]:
    """The 68 points of a file; of one that was written without them those that its 468 imply."""
    if all(name in arrays for name in _POINTS68):
        return {name: arrays[name] for name in _POINTS68}
    known = SurfacePoints(arrays["landmarks468_face"], arrays["landmarks468_bary"])
    found = landmarks68_through(load_face_model(), mean, arrays["faces"], known)
    return dict(zip(_POINTS68, (found.face.astype(np.int32), found.bary.astype(np.float32)), strict=True))


def _floats(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    values = arrays[name].astype(np.float32)
    if not np.isfinite(values).all():
        raise FaceModelError(f"{name} holds numbers that are not finite")
    return values


def _cage(arrays: Mapping[str, np.ndarray]) -> CageShape:
    stages: list[csr_matrix] = []
    while f"stage{len(stages)}_indptr" in arrays:
        key = f"stage{len(stages)}_"
        indptr = arrays[key + "indptr"]
        parts = (arrays[key + "weights"], arrays[key + "indices"].astype(np.int32), indptr)
        stages.append(csr_matrix(parts, shape=(len(indptr) - 1, int(arrays[key + "columns"]))))
        stages[-1].check_format(full_check=True)  # products with a column that is not there read foreign memory
    return CageShape(
        mean=_floats(arrays, "cage_mean"),
        identity=_floats(arrays, "cage_identity"),
        expression=_floats(arrays, "cage_expression"),
        stages=tuple(stages),
    )


def _symmetric(mean: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Exact mirror symmetry, which rounding in the subdivision would miss by a bit."""
    return 0.5 * (mean + mean[mirror] * np.array([-1.0, 1.0, 1.0], np.float32))


def _check(model: FaceModel) -> None:
    count = len(model.mean)
    expected = {
        "mean": (count, 3),
        "mirror": (count,),
        "region": (count,),
        "identity_basis": (count, 3, model.identity_basis.shape[-1]),
        "expression_basis": (count, 3, len(model.expression_names)),
        "albedo_mean": (count, 3),
        "albedo_basis": (count, 3, model.albedo_basis.shape[-1]),
        "landmarks468_face": (468,),
        "landmarks468_bary": (468, 3),
        "landmarks68_face": (68,),
        "landmarks68_bary": (68, 3),
        "uv_faces": model.faces.shape,
        "chart_uv": (count, 2),
    }
    for name, shape in expected.items():
        found = getattr(model, name).shape
        if found != shape:
            raise FaceModelError(f"{name} has shape {found}, expected {shape} for {count} vertices")
    for name, limit in {
        "faces": count,
        "mirror": count,
        "region": len(REGIONS),
        "landmarks468_face": len(model.faces),
        "landmarks68_face": len(model.faces),
        "uv_faces": len(model.uv),
        "chart_faces": len(model.faces),
    }.items():
        _check_indices(name, getattr(model, name), limit)
    for level, coarser in pairwise(model.levels):
        _check_indices("down_index", level.down_index, count)
        _check_indices("up_index", level.up_index, len(level.down_index))
        if level.up_index.shape != (count, 3) or level.up_weight.shape != (count, 3):
            raise FaceModelError(f"a level of {count} vertices has {level.up_index.shape} indices into the coarser one")
        count = len(level.down_index)
        _check_indices("the faces of a level", coarser.faces, count)


def _check_indices(name: str, values: np.ndarray, limit: int) -> None:
    if values.dtype.kind not in "iu":
        raise FaceModelError(f"{name} holds {values.dtype}, expected whole numbers")
    if values.size and not 0 <= values.min() <= values.max() < limit:
        raise FaceModelError(f"{name} holds {values.min()}..{values.max()}, expected 0..{limit - 1}")


def _check_cage(model: FaceModel, cage: CageShape) -> None:
    pairs = ((cage.identity, model.identity_basis), (cage.expression, model.expression_basis))
    same = all(
        a.shape[-1] == b.shape[-1] and np.allclose(cage.expand(a[..., :2]), b[..., :2], atol=1e-2) for a, b in pairs
    )
    if not (same and np.allclose(cage.expand(cage.mean), model.mean, atol=1e-2)):
        raise FaceModelError("the cage does not expand to the shape bases: replace it too, or set cage=None")

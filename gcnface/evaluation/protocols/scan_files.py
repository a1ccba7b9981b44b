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
from coarse.readers.obj_folder import read_obj
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
        GcnfaceError: no texture, no texture coordinates, or a file or format that cannot be read.
    """
    readers = {".obj": _read_obj, ".glb": _read_gltf, ".gltf": _read_gltf}
    if path.suffix.lower() not in readers:
        raise GcnfaceError(f"{path}: cannot be read as a scan; give an OBJ or GLB with a texture")
    return readers[path.suffix.lower()](path, texture)


def _scan(verts: NDArray, faces: NDArray, uv: NDArray, uv_faces: NDArray, picture: NDArray) -> Scan:
    """A scan of arrays; its picture is sRGB."""
    linear = linear_from_srgb(torch.from_numpy(picture)).permute(2, 0, 1)[None]
    at, uv_at = (torch.from_numpy(rows.astype(np.float32)) for rows in (verts, uv))
    corners, uv_corners = (torch.from_numpy(rows.astype(np.int64)) for rows in (faces, uv_faces))
    return Scan(at, Surface(corners, uv_at, uv_corners, linear))


def _read_obj(path: Path, texture: Path | None) -> Scan:
    mesh = read_obj(path, "give a textured scan")
    if mesh.uv is None:
        raise GcnfaceError(f"{path}: has faces without texture coordinates; give a textured scan")
    return _scan(mesh.vertices, mesh.faces, mesh.uv, mesh.uv_faces, read_photo(texture or _texture_of(path)))


def _texture_of(path: Path) -> Path:
    """The picture that an OBJ's material names."""
    libraries = [path.parent / name for name in _named(path, "mtllib")]
    for library in filter(Path.is_file, libraries):
        for picture in _named(library, "map_Kd"):
            return path.parent / picture.split()[-1]
    raise GcnfaceError(f"{path}: names no texture; give it with --texture")


def _named(path: Path, keyword: str) -> list[str]:
    """What stands behind a keyword in the lines of a text file."""
    lines = (line.split(maxsplit=1) for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    return [words[1].strip() for words in lines if words[:1] == [keyword] and len(words) > 1]


def _read_gltf(path: Path, texture: Path | None) -> Scan:
    try:
        import trimesh
    except ImportError as error:
        raise GcnfaceError("reading GLB needs trimesh; pip install 'gcnface[build]'") from error
    mesh: Any = trimesh.load(path, force="mesh", process=False)
    if getattr(mesh.visual, "uv", None) is None:
        raise GcnfaceError(f"{path}: has no texture coordinates; give a textured scan")
    material = mesh.visual.material
    found: Any = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    if texture is None and found is None:
        raise GcnfaceError(f"{path}: holds no texture; give it with --texture")
    picture = read_photo(texture) if texture else np.asarray(found.convert("RGB")).astype(np.float32) / 255
    return _scan(mesh.vertices, mesh.faces, mesh.visual.uv, mesh.faces, picture)


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

"""The textured mesh: what a reconstruction hands to the rest of the world."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gcnface.errors import MissingPackageError
from gcnface.io.array_layout import MESH_LAYOUT, checked_arrays
from gcnface.system.isolation import plain_torch

if TYPE_CHECKING:
    import trimesh

    from gcnface.result.morph_targets import MorphTarget

ARRAY_FIELDS = tuple(MESH_LAYOUT)
_PNG_LEVEL = 3  # half the time of zlib's default for a file a tenth larger


@dataclass(frozen=True, eq=False)
class TexturedMesh:
    """A face with a colour for every vertex and a UV texture, both without light (albedo).

    Attributes:
        vertices: (V, 3) mm, model space: x to the viewer's right, y up, z out of the face, origin between the ears.
        faces: (F, 3) indices of vertices, counter-clockwise seen from outside.
        vertex_rgb: (V, 3) sRGB in [0, 1].
        uv: (N, 2), u right and v up in [0, 1]; a vertex on a seam has several.
        uv_faces: (F, 3) indices of uv, corner by corner beside ``faces``.
        texture: (T, T, 3) sRGB in [0, 1], row 0 is v = 1; kept at the 8 bits a channel that every file format stores.
        normals: (V, 3) unit.
        landmarks68: (68, 3) mm, model space, on the surface.
        landmarks468: (468, 3) mm likewise.
        morph_targets: what GLB and HTML offer to move the face by; a `Reconstruction` gives its mesh the blendshapes of
            its model. None where nothing is known of them, () for files without.

    Raises:
        ShapeError: an array has another shape.
        ValueError: a number is not finite or out of range, or a face names a vertex or a uv that does not exist.

    Example:
        >>> import gcnface
        >>> mesh = gcnface.reconstruct("examples/portrait.jpg", texture_size=512).mesh
        >>> mesh.vertices.shape, mesh.texture.shape
        ((42225, 3), (512, 512, 3))
    """

    vertices: np.ndarray
    faces: np.ndarray
    vertex_rgb: np.ndarray
    uv: np.ndarray
    uv_faces: np.ndarray
    texture: np.ndarray
    normals: np.ndarray
    landmarks68: np.ndarray
    landmarks468: np.ndarray
    morph_targets: Sequence[MorphTarget] | None = None

    def __repr__(self) -> str:
        size = len(self.texture)
        return f"<TexturedMesh: {len(self.vertices)} vertices, {len(self.faces)} faces, texture {size} x {size} px>"

    def __post_init__(self) -> None:
        arrays = checked_arrays({name: getattr(self, name) for name in ARRAY_FIELDS}, MESH_LAYOUT)
        for name, array in arrays.items():
            object.__setattr__(self, name, array)
        _check_indices("faces", self.faces, len(self.vertices))
        _check_indices("uv_faces", self.uv_faces, len(self.uv))
        object.__setattr__(self, "texture", self.texture_8bit.astype(np.float32) / 255)

    @cached_property
    def texture_8bit(self) -> np.ndarray:
        """(T, T, 3) uint8 sRGB."""
        return np.rint(np.clip(self.texture, 0, 1) * 255).astype(np.uint8)

    @cached_property
    def texture_png(self) -> bytes:
        """The texture as a PNG file; encoded once, whatever number of formats holds it."""
        from PIL import Image

        from gcnface.io.images import save_picture

        data = io.BytesIO()
        save_picture(Image.fromarray(self.texture_8bit), data, "PNG", compress_level=_PNG_LEVEL)
        return data.getvalue()

    @cached_property
    def split(self) -> SplitMesh:
        """The same surface with vertices doubled along UV seams, one index a corner, as graphics cards want it."""
        return split_at_seams(self.faces, self.uv_faces)

    def to_trimesh(self) -> trimesh.Trimesh:
        """The mesh as a `trimesh.Trimesh`, with UV and texture, mm, vertices doubled along UV seams (see ``split``).

        Raises:
            MissingPackageError: the package trimesh is not installed; also an ImportError.
        """
        from PIL import Image

        from gcnface.result.files.gltf import ROUGHNESS

        try:
            import trimesh
            from trimesh.visual import TextureVisuals
            from trimesh.visual.material import PBRMaterial
        except ImportError as error:
            raise MissingPackageError("to_trimesh needs the package trimesh; pip install trimesh") from error
        split = self.split
        texture = Image.fromarray(self.texture_8bit)
        material = PBRMaterial("face", baseColorTexture=texture, metallicFactor=0.0, roughnessFactor=ROUGHNESS)
        bare = trimesh.Trimesh(
            self.vertices[split.vertex],
            split.faces.astype("int64"),
            vertex_normals=self.normals[split.vertex],
            visual=TextureVisuals(uv=self.uv[split.uv], material=material),
            process=False,
        )
        bare.units = "mm"
        return bare

    @plain_torch()
    def save(self, path: str | Path) -> Path:
        """Write the mesh in the format that the suffix names: .glb, .obj (with .mtl and .png), .ply or .html.

        GLB and HTML hold the morph targets; `Reconstruction.save` adds the photo's light and the provenance.
        The file appears whole or not at all. GLB is in metres, OBJ and PLY are in millimetres.

        Returns:
            The path written.

        Raises:
            ValueError: the suffix is none of these.
            OutputError: the folder cannot be written to.
        """
        from gcnface.result.files.bundle import save_mesh

        return save_mesh(self, Path(path))


@dataclass(frozen=True, eq=False)
class SplitMesh:
    """Corners of a mesh whose vertices were doubled along UV seams.

    Attributes:
        vertex: (N,) index of the mesh's vertex.
        uv: (N,) index of the mesh's uv.
        faces: (F, 3) indices of the N corners.
    """

    vertex: np.ndarray
    uv: np.ndarray
    faces: np.ndarray


def split_at_seams(faces: np.ndarray, uv_faces: np.ndarray) -> SplitMesh:
    """One corner for each pair of vertex and uv that some face uses; both arguments (F, 3)."""
    pairs = faces.astype(np.int64) * (int(uv_faces.max(initial=0)) + 1) + uv_faces
    unique, first, inverse = np.unique(pairs.ravel(), return_index=True, return_inverse=True)
    return SplitMesh(
        vertex=faces.ravel()[first],
        uv=uv_faces.ravel()[first],
        faces=inverse.reshape(faces.shape).astype(np.uint32),
    )


def _check_indices(name: str, indices: np.ndarray, count: int) -> None:
    """Raise ValueError unless all indices lie in [0, count)."""
    if indices.size and not (indices.min() >= 0 and indices.max() < count):
        raise ValueError(
            f"{name} must hold indices in [0, {count}), found {indices.min()} to {indices.max()}: "
            "pass the faces that belong to these vertices"
        )

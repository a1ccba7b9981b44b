"""Everything known about one face in one photograph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gcnface.mesh import TexturedMesh
from render.shapes import check_shape

if TYPE_CHECKING:
    from gcnface.drawing import Drawing
    from gcnface.lights import LightLike

FORMATS = ("glb", "obj", "ply", "overlay", "npz", "json", "html", "maps")
TEXEL_SOURCES = ("empty", "seen", "mirrored", "inferred")
"""What the numbers of `Reconstruction.texel_source` mean: no surface here, taken from the photo, taken from the photo
on the other half of the face, filled by the network or the model."""

_FROM_PHOTOS = [TEXEL_SOURCES.index(name) for name in ("seen", "mirrored")]

_SHAPES = {
    "vertices_cam": "V 3",
    "px_from_cam": "3 3",
    "vertex_rgb": "V 3",
    "vertex_rgb_coarse": "V 3",
    "vertex_albedo": "V 3",
    "landmarks68": "L 3",
    "landmarks468": "M 3",
    "identity": "I",
    "expression": "E",
    "albedo": "A",
    "rotation": "3",
    "translation": "3",
    "lighting": "9 3",
    "crop_from_photo": "3 3",
}


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """One face: the mesh to use elsewhere, and what draws it back over its photo.

    "px" are pixels of the original photo after its EXIF orientation: (0, 0) is the top-left corner of the top-left
    pixel, x goes right, y down. Camera space is x right, y down, z forward.

    Attributes:
        mesh: the textured mesh in model space, without light.
        vertices_cam: (V, 3) mm, camera space; the same numbering as ``mesh.vertices``.
        px_from_cam: (3, 3); ``px_from_cam @ vertex`` is homogeneous px.
        vertex_rgb: (V, 3) refined and lit, sRGB in [0, 1].
        vertex_rgb_coarse: (V, 3) before refinement, lit, sRGB in [0, 1].
        vertex_albedo: (V, 3) refined, without light, linear RGB.
        visible: (V,) bool, seen from the camera and not hidden by another part of the mesh.
        landmarks68: (68, 3) x and y in px; z in px as well, smaller is nearer, zero at the model's origin.
        landmarks468: (468, 3) likewise.
        identity: (Ni,) coefficients, unit Gaussian.
        expression: (Ne,) face units, 0 at rest, 1 the full unit.
        albedo: (Na,) coefficients, unit Gaussian.
        rotation: (3,) axis-angle, rad.
        translation: (3,) mm, camera space.
        lighting: (9, 3) spherical harmonics, RGB, linear (docs/conventions.md).
        crop_from_photo: (3, 3) takes homogeneous px to the pixels of the 224 px crop the networks saw.
        texel_source: (T, T) uint8, an index of `TEXEL_SOURCES` for every texel of ``mesh.texture``.
        texel_photo: (T, T) uint8, from which photo a texel was taken, there or mirrored: 1 for the first, 2 for the
            second (``provenance["photos"]``), 0 where from none; None stands for a single photo.
        texel_confidence: (T, T) uint8, how far a texel comes from the photos themselves: 255 wholly; None stands for
            255 where it was seen and 0 elsewhere.
        vertex_light: (V, 3) linear, what the photo's colours were divided by: the shading, with cast shadows and
            highlights in it; None where it is the shading alone.
        expression_names: names of the face units; empty when unknown.
        timings: seconds by stage.
        figures: numbers by name, such as how well the drawn face fits the photo.
        provenance: versions, options, names of photo and models; JSON values.
        photo: (H, W, 3) float32 sRGB in [0, 1], or None after `gcnface.load`; needed for the overlay only.

    Raises:
        ShapeError: an array has another shape.
    """

    mesh: TexturedMesh
    vertices_cam: np.ndarray
    px_from_cam: np.ndarray
    vertex_rgb: np.ndarray
    vertex_rgb_coarse: np.ndarray
    vertex_albedo: np.ndarray
    visible: np.ndarray
    landmarks68: np.ndarray
    landmarks468: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    albedo: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    lighting: np.ndarray
    crop_from_photo: np.ndarray
    texel_source: np.ndarray
    texel_photo: np.ndarray | None = None
    texel_confidence: np.ndarray | None = None
    vertex_light: np.ndarray | None = None
    expression_names: tuple[str, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    photo: np.ndarray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        fixed = {"V": len(self.mesh.vertices), "L": 68, "M": 468}
        for name, shape in _SHAPES.items():
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float32))
            check_shape(name, getattr(self, name), shape, **fixed)
        object.__setattr__(self, "visible", np.ascontiguousarray(self.visible, dtype=bool))
        object.__setattr__(self, "texel_source", np.ascontiguousarray(self.texel_source, dtype=np.uint8))
        photo = np.isin(self.texel_source, _FROM_PHOTOS) if self.texel_photo is None else self.texel_photo
        object.__setattr__(self, "texel_photo", np.ascontiguousarray(photo, dtype=np.uint8))
        seen = (self.texel_source == TEXEL_SOURCES.index("seen")) * 255
        confidence = seen if self.texel_confidence is None else self.texel_confidence
        object.__setattr__(self, "texel_confidence", np.ascontiguousarray(confidence, dtype=np.uint8))
        check_shape("visible", self.visible, "V", V=fixed["V"])
        if self.vertex_light is not None:
            object.__setattr__(self, "vertex_light", np.ascontiguousarray(self.vertex_light, dtype=np.float32))
            check_shape("vertex_light", self.vertex_light, "V 3", V=fixed["V"])
        for name in ("texel_source", "texel_photo", "texel_confidence"):
            check_shape(name, getattr(self, name), "T T", T=len(self.mesh.texture))

    @property
    def faces(self) -> np.ndarray:
        """(F, 3) indices of vertices; those of the mesh."""
        return self.mesh.faces

    @property
    def albedo_texture(self) -> np.ndarray:
        """(T, T, 3) the texture: albedo without light, sRGB in [0, 1]; that of the mesh."""
        return self.mesh.texture

    @property
    def shading(self) -> np.ndarray:
        """(V, 3) linear, from normals, pose and the nine harmonics of the light."""
        from gcnface.appearance import shading

        return shading(self)

    def relit(self, light: LightLike) -> Reconstruction:
        """The face in another light; see `gcnface.appearance.relit`."""
        from gcnface.appearance import relit

        return relit(self, light)

    def turned(
        self,
        yaw: float = 0.0,
        pitch: float = 0.0,
        roll: float = 0.0,
        *,
        upright: bool = False,
        light_follows: bool = False,
    ) -> Reconstruction:
        """The head turned by degrees; see `gcnface.appearance.turned`."""
        from gcnface.appearance import turned

        return turned(self, yaw, pitch, roll, upright=upright, light_follows=light_follows)

    def with_expression(self, expression: Mapping[str, float], *, neutral: bool = False) -> Reconstruction:
        """The face with face units added; see `gcnface.appearance.with_expression`."""
        from gcnface.appearance import with_expression

        return with_expression(self, expression, neutral=neutral)

    def draw(self, size: int | tuple[int, int] = 1024, view: str = "portrait") -> Drawing:
        """A picture of the textured head; see `gcnface.drawing.draw`."""
        from gcnface.drawing import draw

        return draw(self, size, view)

    def save(self, folder: str | Path, name: str, formats: Sequence[str] = FORMATS) -> list[Path]:
        """Write the chosen formats into a folder; all of them appear, or none does.

        Args:
            folder: created when missing.
            name: what the files are called: NAME.glb, NAME_overlay.png, ...
            formats: any of `FORMATS`; "obj" brings its .mtl and .png, "maps" is two pictures.

        Returns:
            The paths written, in the order of ``formats``.

        Raises:
            ValueError: an unknown format, or "overlay" without a photo.
            OutputError: the folder cannot be written to.
        """
        from gcnface.io.bundle import save_reconstruction

        return save_reconstruction(self, Path(folder), name, formats)

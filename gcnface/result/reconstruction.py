"""Everything known about one face in one photograph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from coarse.contour68 import contour68
from gcnface.errors import printable
from gcnface.io.array_layout import NOT_ALWAYS, RECORD_LAYOUT, checked_arrays
from gcnface.result.mesh import TexturedMesh
from gcnface.result.morph_targets import ModelBlendshapes
from gcnface.system.isolation import plain_torch

if TYPE_CHECKING:
    import trimesh

    from gcnface.result.lights import LightLike
    from gcnface.result.quality import FaceQuality
    from gcnface.result.rendering import RenderedImage

TEXEL_SOURCES = ("empty", "seen", "mirrored", "inferred")
"""What the numbers of `Reconstruction.texel_source` mean: no surface here, taken from the photo, taken from the photo
on the other half of the face, filled by the network or the model."""

_SMALLEST_DETERMINANT = 1e-12
_LARGEST_SIDE = 10**6
_MOST_PHOTOS = 255
_FROM_PHOTOS = [TEXEL_SOURCES.index(name) for name in ("seen", "mirrored")]


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """One face: the mesh to use elsewhere, and what draws it back over its photo.

    "px" are pixels of the photo as read, after its EXIF orientation: (0, 0) is the top-left corner of the top-left
    pixel, x goes right, y down. Camera space is x right, y down, z forward.

    Attributes:
        mesh: the textured mesh in model space, without light; where nothing is known of its morph targets, it gets the
            units of ``face_model``.
        vertices_cam: (V, 3) mm, camera space; the same numbering as ``mesh.vertices``.
        px_from_cam: (3, 3); ``px_from_cam @ vertex`` is homogeneous px.
        vertex_rgb: (V, 3) refined and lit, sRGB in [0, 1].
        vertex_rgb_coarse: (V, 3) before refinement, lit, sRGB in [0, 1].
        vertex_albedo: (V, 3) refined, without light, linear RGB.
        visible: (V,) bool, seen from the camera and not hidden by another part of the mesh.
        landmarks68: (68, 3) x and y in px; z in px as well, smaller is nearer, zero at the model's origin. The
            points of 300W-LP and AFLW2000-3D, on the skin also where the head hides it.
        landmarks468: (468, 3) likewise.
        identity: (Ni,) coefficients, unit Gaussian.
        expression: (Ne,) blendshapes, 0 at rest, 1 the full unit.
        albedo: (Na,) coefficients, unit Gaussian, of the albedo in the mean person's tone.
        rotation: (3,) axis-angle, rad.
        translation: (3,) mm, camera space.
        lighting: (9, 3) spherical harmonics, RGB, linear (docs/conventions.md).
        skin_tone: (3,) factor of that albedo, linear RGB; None stands for ones.
        crop_from_photo: (3, 3) takes homogeneous px to the pixels of the 224 px crop the networks saw.
        texel_source: (T, T) uint8, an index of `TEXEL_SOURCES` for every texel of ``mesh.texture``.
        texel_photo: (T, T) uint8, from which photo a texel was taken, there or mirrored: 1 for the first, 2 for the
            second of ``photo_names``, 0 where from none; None stands for a single photo.
        texel_confidence: (T, T) uint8, how far a texel comes from the photos themselves: 255 wholly; None stands for
            255 where it was seen and 0 elsewhere.
        vertex_light: (V, 3) linear, what the photo's colours were divided by: the shading, with cast shadows and
            highlights in it; None where it is the shading alone.
        expression_names: names of the blendshapes; empty when unknown.
        photo_hw: height and width in px of the photo as read, which px refer to; that of ``photo`` where it is there,
            None where neither is known.
        photo_names: file names of the photos, in their order; empty when unknown.
        face_model: name of the face model whose vertices and units these are; "" when unknown.
        timings: seconds by stage.
        figures: numbers by name, such as how well the drawn face fits the photo.
        provenance: what files tell of how the face was made: versions, options, names of photo and models; JSON values.
            gcnface itself reads nothing from it.
        photo: (H, W, 3) float32 sRGB in [0, 1], or None after `gcnface.load`; needed for the overlay only.
        quality: how far the face may be believed, and why; None when unknown.

    Raises:
        ShapeError: an array has another shape than `gcnface.io.array_layout.RECORD_LAYOUT` says.
        ValueError: a number is not finite or out of range, the head is not before the camera, or blendshapes and their
            names do not go together; or the photo's size or a name is none.

    Example:
        >>> import gcnface
        >>> face = gcnface.reconstruct("examples/portrait.jpg", texture_size=512)
        >>> smiling = face.with_expression({"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7})
        >>> smiling.relit("studio").rotated(yaw=20).draw(64).save("smiling.png").name
        'smiling.png'
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
    skin_tone: np.ndarray | None = None
    texel_photo: np.ndarray | None = None
    texel_confidence: np.ndarray | None = None
    vertex_light: np.ndarray | None = None
    expression_names: tuple[str, ...] = ()
    photo_hw: tuple[int, int] | None = None
    photo_names: tuple[str, ...] = ()
    face_model: str = ""
    timings: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    photo: np.ndarray | None = field(default=None, repr=False)
    quality: FaceQuality | None = None

    def __post_init__(self) -> None:
        values = {name: getattr(self, name) for name in RECORD_LAYOUT}
        given = {name: value for name, value in values.items() if value is not None or name not in NOT_ALWAYS}
        arrays = checked_arrays(given, RECORD_LAYOUT, V=len(self.mesh.vertices), T=len(self.mesh.texture))
        source = arrays["texel_source"]
        arrays.setdefault("skin_tone", np.ones(3, np.float32))
        arrays.setdefault("texel_photo", np.isin(source, _FROM_PHOTOS).astype(np.uint8))
        seen = (source == TEXEL_SOURCES.index("seen")).astype(np.uint8)
        arrays.setdefault("texel_confidence", seen * np.uint8(255))
        for name, array in arrays.items():
            object.__setattr__(self, name, array)
        if self.photo is not None:
            object.__setattr__(self, "photo_hw", self.photo.shape[:2])
        check_origin(self.photo_hw, self.photo_names, self.face_model)
        self._check_camera()
        self._check_units()
        if self.mesh.morph_targets is None:
            units = ModelBlendshapes(self.face_model, self.expression_names, len(self.mesh.vertices))
            object.__setattr__(self, "mesh", replace(self.mesh, morph_targets=units))

    def __repr__(self) -> str:
        what = f"{len(self.mesh.vertices)} vertices, {len(self.expression_names)} blendshapes"
        size, of = len(self.mesh.texture), f" of {printable(self.photo_names[0])}" if self.photo_names else ""
        return f"<Reconstruction{of}: {what}, texture {size} x {size} px>"

    def _check_camera(self) -> None:
        """Raise ValueError unless the head stands before a camera that sees it."""
        nearest = float(min(self.translation[2], self.vertices_cam[:, 2].min(initial=np.inf)))
        if not nearest > 0:
            raise ValueError(f"vertices_cam and translation reach {nearest:g} mm; expected z above 0")
        for name in ("px_from_cam", "crop_from_photo"):
            if not abs(np.linalg.det(getattr(self, name).astype(np.float64))) > _SMALLEST_DETERMINANT:
                raise ValueError(f"{name} cannot be inverted; expected a matrix that takes points to px")

    def _check_units(self) -> None:
        """Raise ValueError unless each blendshape has a name of its own, or none has one."""
        names = self.expression_names
        if names and len(names) != len(self.expression):
            raise ValueError(f"expression_names has {len(names)} names for {len(self.expression)} units")
        if len(set(names)) != len(names) or not all(isinstance(name, str) and name.isprintable() for name in names):
            raise ValueError("expression_names holds names twice, or such that cannot be shown; expected plain words")

    @property
    def faces(self) -> np.ndarray:
        """(F, 3) indices of vertices; those of the mesh."""
        return self.mesh.faces

    @property
    def blendshapes(self) -> dict[str, float]:
        """The blendshapes by name, 0 at rest and 1 the full unit; empty when their names are unknown."""
        return {name: float(self.expression[k]) for k, name in enumerate(self.expression_names)}

    @property
    def landmarks68_contour(self) -> np.ndarray:
        """(68, 3) as `landmarks68`, in 300W's two-dimensional form: the jaw on the visible outline."""
        return contour68(self.landmarks468)

    @property
    def shading(self) -> np.ndarray:
        """(V, 3) linear, from normals, pose and the nine harmonics of the light."""
        from gcnface.result.editing import shading

        return shading(self)

    def relit(self, light: LightLike) -> Reconstruction:
        """The face in another light; see `gcnface.result.editing.relit`."""
        from gcnface.result.editing import relit

        return relit(self, light)

    def rotated(
        self,
        yaw: float = 0.0,
        pitch: float = 0.0,
        roll: float = 0.0,
        *,
        upright: bool = False,
        light_follows: bool = False,
    ) -> Reconstruction:
        """The head turned by degrees; see `gcnface.result.editing.rotated`."""
        from gcnface.result.editing import rotated

        return rotated(self, yaw, pitch, roll, upright=upright, light_follows=light_follows)

    def with_expression(self, expression: Mapping[str, float], *, neutral: bool = False) -> Reconstruction:
        """The face with blendshapes added; see `gcnface.result.editing.with_expression`."""
        from gcnface.result.editing import with_expression

        return with_expression(self, expression, neutral=neutral)

    def neutral(self) -> Reconstruction:
        """The face at rest, all its blendshapes 0."""
        return self.with_expression({}, neutral=True)

    def draw(self, size: int | tuple[int, int] = 1024, view: str = "portrait") -> RenderedImage:
        """A picture of the textured head; see `gcnface.result.rendering.draw`."""
        from gcnface.result.rendering import draw

        return draw(self, size, view)

    def to_trimesh(self) -> trimesh.Trimesh:
        """The mesh as a `trimesh.Trimesh`; see `TexturedMesh.to_trimesh`."""
        return self.mesh.to_trimesh()

    @plain_torch()
    def save(self, path: str | Path, name: str | None = None, formats: str | Sequence[str] | None = None) -> list[Path]:
        """Write one file, or the chosen formats into a folder; all of them appear, or none does.

        ``face.save("actor.glb")`` writes one file in the format that the suffix names, with all that is known of the
        face and that the format has a place for: blendshapes, provenance, the photo's light. Suffixes are .glb, .obj
        (with .mtl and .png), .ply, .html, .npz and .json.

        ``face.save("out")`` writes a set into a folder.

        Args:
            path: a file with one of these suffixes, or a folder; created when missing.
            name: what the files in the folder are called: NAME.glb, NAME_overlay.png, ...; by default as the photo is,
                or "face" where that is unknown.
            formats: one or several of `gcnface.result.files.registry.FORMATS`, by default all that can be written;
                "obj" brings its .mtl and .png, "maps" is two pictures.

        Returns:
            The paths written, in the order of ``formats``.

        Raises:
            ValueError: an unknown suffix or format, or "overlay" without a photo.
            OutputError: the folder cannot be written to.
        """
        from gcnface.result.files.bundle import save_as

        return save_as(self, Path(path), name, formats)


def check_origin(photo_hw: object, photo_names: object, face_model: object) -> None:
    """Raise ValueError unless these can be a photo's size (or None), names of photos and the name of a face model."""
    sides = photo_hw if isinstance(photo_hw, tuple) else ()
    if photo_hw is not None and not (len(sides) == 2 and all(type(s) is int and 0 < s <= _LARGEST_SIDE for s in sides)):
        raise ValueError(f"photo_hw is {photo_hw!r}; expected height and width in px")
    names = photo_names if isinstance(photo_names, tuple) else (None,)
    if len(names) > _MOST_PHOTOS or not all(isinstance(name, str) for name in names):
        raise ValueError(f"photo_names holds no names, or too many; expected a tuple of {_MOST_PHOTOS} at most")
    if not (isinstance(face_model, str) and face_model.isprintable()):
        raise ValueError("face_model cannot be shown; expected a plain word")

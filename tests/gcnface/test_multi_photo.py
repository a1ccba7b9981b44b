"""Several photos of one drawn face with known shape and colours: the fused face is nearer to it than any single one."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import gcnface
from coarse.coefficients import Coefficients
from coarse.face_model import load_face_model
from coarse.fitting import render_crop
from coarse.morphable import MorphableModel
from gcnface.api import load_person_reconstructor
from gcnface.io.images import read_photo
from gcnface.multi_photo import SAME_PERSON_COSINE, doubted, mean_cosines, same_expression
from gcnface.options import ReconstructionOptions
from gcnface.photo.crop import align_face
from gcnface.photo.input import NamedPhoto
from gcnface.stages.coarse import Stopwatch
from refine.facenet import embed_crop224
from render.lighting import ambient_lighting
from render.rotation import axis_angle_from_rotation, rotation_from_euler
from tests.tolerances import CHAINS, STORED

DATA = Path(__file__).parents[1] / "data"
SIDE = 512
YAWS = (0.0, -40.0, 40.0)


@pytest.fixture(scope="module")
def model():
    return MorphableModel(load_face_model())


@pytest.fixture(scope="module")
def truth(model):
    """A person of the model."""
    generator = torch.Generator().manual_seed(5)
    layout = model.layout
    neutral = layout.decode(torch.zeros(1, layout.total))
    identity = 0.8 * torch.randn(1, layout.identity, generator=generator)
    albedo = 0.5 * torch.randn(1, layout.albedo, generator=generator)
    light = ambient_lighting(0.95 * torch.ones(3))
    return Coefficients(identity, neutral.expression, albedo, neutral.rotation, neutral.translation, light)


@pytest.fixture(scope="module")
def colors(model, truth):
    """(V, 3) linear albedo with blotches that no coefficient explains and no mirror shows."""
    x, y, z = model.mean.T
    blotches = 1 + 0.4 * torch.sin(x / 12 + 1) * torch.sin(y / 12) * torch.sin(z / 12)
    return model.albedo(truth.albedo)[0] * blotches[:, None]


@pytest.fixture(scope="module")
def photos(model, truth, colors):
    """The head seen from the front and from both sides, under different exposures."""
    drawn = []
    for k, yaw in enumerate(YAWS):
        angles = [torch.tensor([math.radians(x)]) for x in (yaw, 0.0, 0.0)]
        posed = replace(truth, rotation=axis_angle_from_rotation(rotation_from_euler(*angles)))
        face = model(posed)
        face = replace(face, albedo=colors[None] * (1.0, 0.8, 1.1)[k])
        with torch.no_grad():
            picture, _ = render_crop(model, face, torch.full((1, SIDE, SIDE, 3), 0.6), SIDE)
        frame = np.full((2 * SIDE, 2 * SIDE, 3), 0.6, np.float32)
        frame[SIDE // 2 : -SIDE // 2, SIDE // 2 : -SIDE // 2] = picture[0].numpy()
        drawn.append(NamedPhoto(frame, Path(f"yaw{yaw:.0f}.png")))
    return drawn


@pytest.fixture(scope="module")
def person():
    return load_person_reconstructor(ReconstructionOptions(texture_size=256, fit=False))


@pytest.fixture(scope="module")
def views(person, photos):
    detect = person.detector.detect
    return [person.stages.fit_face(photo.pixels, detect(photo.pixels)[0], Stopwatch()) for photo in photos]


@pytest.fixture(scope="module")
def fused(person, photos):
    return person(photos)


@pytest.fixture(scope="module")
def single(person, photos):
    return person(photos[:1])


def at_vertices(mesh, image):
    """Values of a texture-sized picture where the vertices lie in it."""
    uv = np.zeros((len(mesh.vertices), 2))
    uv[mesh.faces.ravel()] = mesh.uv[mesh.uv_faces.ravel()]
    side = len(image)
    column, row = (np.clip((v * side).astype(int), 0, side - 1) for v in (uv[:, 0], 1 - uv[:, 1]))
    return image[row, column]


def error_beyond_the_front(colors, face, fused, single):
    """Mean linear error on face vertices that only the side photos saw, after the gain that the seen front asks for."""
    region = load_face_model().region_mask("face")
    front = at_vertices(single.mesh, single.texel_source) == 1
    beyond = torch.from_numpy(region & ~front & (at_vertices(fused.mesh, fused.texel_source) == 1))
    assert beyond.sum() > 300
    found, seen = torch.from_numpy(face.vertex_albedo), torch.from_numpy(region & front)
    gain = (found * colors)[seen].sum(0) / found[seen].square().sum(0)
    return float((found * gain - colors)[beyond].abs().mean())


def identity_error_mm(model, truth, identity):
    basis = model.shape_basis.view(-1, 3, model.shape_basis.shape[1])[:, :, : model.identity_count]
    region = torch.from_numpy(load_face_model().region_mask("face", "eyes_nose_mouth"))
    return float((basis[region] @ (torch.as_tensor(identity) - truth.identity[0])).norm(dim=1).mean())


def test_texture_beyond_the_front_is_nearer_to_the_truth(colors, fused, single):
    fused_error, single_error = (error_beyond_the_front(colors, face, fused, single) for face in (fused, single))
    assert fused_error < 0.85 * single_error


def test_identity_is_nearer_to_the_truth_than_single_photos_are(model, truth, fused, views):
    own = [identity_error_mm(model, truth, view.coarse.coefficients.identity[0]) for view in views]
    assert identity_error_mm(model, truth, fused.identity) < np.mean(own)


def test_every_photo_gives_texels_and_more_are_seen(fused, single):
    seen = fused.texel_source == 1
    assert (np.bincount(fused.texel_photo[seen], minlength=4)[1:] > 0.1 * seen.sum()).all()
    assert seen.sum() > 1.1 * (single.texel_source == 1).sum()
    assert fused.provenance["photos"] == ["yaw0.png", "yaw-40.png", "yaw40.png"]
    assert fused.photo_names == ("yaw0.png", "yaw-40.png", "yaw40.png")


def test_each_side_comes_from_the_photo_that_shows_it(fused):
    """A positive yaw turns the nose to the viewer's right and shows the cheek that lies at x < 0."""
    photo, source = (at_vertices(fused.mesh, image) for image in (fused.texel_photo, fused.texel_source))
    x = fused.mesh.vertices[:, 0]
    for outer, best, other in ((x > 60, 2, 3), (x < -60, 3, 2)):
        assert (photo[outer & (source == 1)] == best).mean() > 0.6
        assert (photo[outer & (source == 1)] == other).mean() < 0.1


def test_pose_is_the_first_photo_s_and_identity_knows_no_order(person, views, fused):
    with torch.no_grad():
        one = [view.coarse.coefficients for view in person.of_one_identity(views)]
        other = [view.coarse.coefficients for view in person.of_one_identity(views[::-1])]
    torch.testing.assert_close(other[0].identity, one[0].identity, **CHAINS)
    torch.testing.assert_close(other[0].albedo, one[0].albedo, **STORED)
    torch.testing.assert_close(torch.from_numpy(fused.rotation), one[0].rotation[0], **STORED)
    assert float(other[0].rotation[0, 1]) > 0.4


def test_no_face_names_the_photo(person, photos):
    blank = NamedPhoto(np.full((300, 300, 3), 0.5, np.float32), Path("holiday/wall.jpg"))
    with pytest.raises(gcnface.NoFaceError, match=r"holiday/wall\.jpg: shows no face"):
        person([blank, photos[0]])


def test_someone_else_is_doubted_by_name():
    names = [Path(name) for name in ("a.jpg", "b.jpg", "c.jpg")]
    cosine = mean_cosines(torch.eye(3)[[0, 0, 1]])
    torch.testing.assert_close(cosine, torch.tensor([0.5, 0.5, 0.0]))
    assert doubted(names, cosine).startswith("c.jpg: does not look like the person of the other photos")
    assert doubted(names[:2], mean_cosines(torch.eye(3)[[0, 0]])) is None
    assert doubted(names[:1], mean_cosines(torch.eye(3)[:1])) is None
    assert doubted(names[:2], torch.tensor([0.1, 0.1 + 1e-7])).startswith("b.jpg")


def test_what_another_expression_moves_counts_less(model, truth):
    smile = truth.expression.clone()
    smile[0, [k for k, name in enumerate(load_face_model().expression_names) if name.startswith("mouthSmile")]] = 1
    rest, moved = (model.vertices(truth.identity, units)[0] for units in (truth.expression, smile))
    weight = same_expression(moved, rest)
    lips = model.landmarks468(truth.identity, smile) - model.landmarks468(truth.identity, truth.expression)
    assert lips[0, 61].norm() > 3
    assert weight.min() < 0.2
    assert (weight[torch.from_numpy(load_face_model().region_mask("scalp", "neck"))] > 0.8).all()
    assert (same_expression(rest, rest) == 1).all()


def test_two_people_are_told_apart(person):
    crops = []
    for name in ("face.jpg", "glasses.jpg"):
        photo = read_photo(DATA / name)
        crops.append(align_face(photo, person.detector.detect(photo)[0]).image)
    with torch.no_grad():
        embeddings = embed_crop224(person.stages.facenet, torch.stack([crops[0], crops[0].flip(2), crops[1]]))
    cosine = mean_cosines(embeddings[:2])
    assert cosine.min() > SAME_PERSON_COSINE
    assert doubted([Path(c) for c in "abc"], mean_cosines(embeddings)).startswith("c:")

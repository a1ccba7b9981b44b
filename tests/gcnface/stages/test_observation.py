"""What a region of the model may take from a photo, and what it may not see."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from coarse.face_model import REGIONS, load_face_model
from coarse.morphable import MorphableModel, crop_camera
from gcnface.photo.parsing import PARSING_CLASSES
from gcnface.stages.observation import (
    FACE_CLASSES,
    GRAZING_COSINE,
    NEAR_PX,
    _grown,
    class_maps,
    face_mask,
    grazing_weight,
    nearness,
    observe_vertices,
    view_cosine,
)
from render.color import linear_from_srgb
from tests.tolerances import CHAINS

SIDE = 224


@pytest.fixture(scope="module")
def model():
    return load_face_model()


@pytest.fixture(scope="module")
def network(model):
    return MorphableModel(model)


@pytest.fixture(scope="module")
def face(network):
    with torch.no_grad():
        return network(network.layout.decode(torch.zeros(1, network.layout.total)))


@pytest.fixture(scope="module")
def region(model):
    return torch.from_numpy(model.region.astype(np.int64))


def all_of(name, side=SIDE):
    shares = torch.zeros(1, len(PARSING_CLASSES), side, side)
    shares[:, PARSING_CLASSES.index(name)] = 1
    return shares


def ramp(side=SIDE):
    x = (torch.arange(side) + 0.5) / side
    return torch.stack([x.expand(side, side), x[:, None].expand(side, side), torch.full((side, side), 0.3)])[None]


def seen_with(model, face, classes):
    return observe_vertices(model, face, ramp(), class_maps(classes), crop_camera())


@pytest.fixture(scope="module")
def on_skin(model, face):
    return seen_with(model, face, all_of("skin"))


def inside(region, *names):
    return torch.isin(region, torch.tensor([REGIONS.index(name) for name in names]))


def test_colours_are_the_photo_at_the_vertex(face, on_skin):
    xy = crop_camera().project(face.verts_cam)[0, :, :2]
    inner = ((xy > 1) & (xy < SIDE - 1)).all(1)
    expected = linear_from_srgb(torch.cat([xy / SIDE, torch.full_like(xy[:, :1], 0.3)], 1))
    torch.testing.assert_close(on_skin.linear[0, inner], expected[inner], **CHAINS)


def test_everything_is_bounded(on_skin):
    for values in (on_skin.confidence, on_skin.skin, on_skin.face):
        assert values.min() >= 0
        assert values.max() <= 1
    assert on_skin.visible.dtype == torch.bool


def test_front_is_seen_and_back_is_not(model, on_skin, region):
    points = torch.from_numpy(model.mean)
    front = inside(region, "face") & (points[:, 2] > points[:, 2].max() - 25)
    back = inside(region, "scalp", "ears", "neck") & (on_skin.normals_view[0, :, 2] < -0.3)
    assert on_skin.visible[0, front].float().mean() > 0.95
    assert on_skin.confidence[0, front].mean() > 0.8
    assert on_skin.visible[0, back].float().mean() < 0.02
    assert on_skin.confidence[0, back].max() == 0


def test_hidden_vertices_carry_no_confidence(on_skin, region):
    """But for the mouth, of whose triangles a visible corner is enough."""
    outside = ~inside(region, "mouth_interior")
    assert on_skin.confidence[0, outside & ~on_skin.visible[0]].max() == 0


def test_vertices_outside_the_frame_are_not_visible(model, face):
    camera = crop_camera().transformed(torch.tensor([[1.0, 0, -140], [0, 1, 0], [0, 0, 1]]), (SIDE, SIDE))
    seen = observe_vertices(model, face, ramp(), class_maps(all_of("skin")), camera)
    x = camera.project(face.verts_cam)[0, :, 0]
    assert not seen.visible[0, x < 0].any()
    assert seen.visible[0, x > 0].any()


def test_skin_takes_neither_hair_nor_glasses_but_the_scalp_takes_hair(model, face, region):
    hair, glasses = (seen_with(model, face, all_of(name)) for name in ("hair", "glasses"))
    skin = inside(region, "face", "eyes_nose_mouth", "ears", "neck")
    assert hair.confidence[0, skin | inside(region, "eyeballs")].max() == 0
    assert hair.confidence[0, inside(region, "scalp")].max() > 0.9
    assert hair.face.max() == 0
    assert glasses.confidence[0, skin | inside(region, "scalp")].max() == 0
    for seen in (hair, glasses):
        assert seen.skin.max() == 0


def test_eyes_show_through_lenses(model, face, region):
    assert seen_with(model, face, all_of("glasses")).confidence[0, inside(region, "eyeballs")].max() > 0.9


def test_light_is_estimated_on_skin_of_the_face_alone(model, face, on_skin, region):
    on_face = inside(region, "face", "eyes_nose_mouth")
    assert on_skin.skin[0, ~on_face].max() == 0
    assert on_skin.skin[0, on_face].max() > 0.9
    for name in ("lips", "brows", "eyes"):
        assert seen_with(model, face, all_of(name)).skin.max() == 0


def test_lips_colour_the_mouth_and_eyes_the_eyeballs(model, face, region):
    mouth = inside(region, "eyes_nose_mouth")
    assert seen_with(model, face, all_of("lips")).confidence[0, mouth].max() > 0.9
    assert seen_with(model, face, all_of("eyes")).confidence[0, inside(region, "eyeballs")].max() > 0.9
    assert seen_with(model, face, all_of("eyes")).confidence[0, inside(region, "face")].max() == 0


GRAY = 0.5


def plain(face):
    """The face in one colour, under even light."""
    color = linear_from_srgb(torch.tensor(GRAY))
    return replace(face, albedo=torch.full_like(face.albedo, float(color)), shading=torch.ones_like(face.shading))


def half(name):
    classes = all_of("skin")
    classes[..., SIDE // 2 :] = all_of(name)[..., SIDE // 2 :]
    return classes


@pytest.mark.parametrize(("neighbor", "kept_px"), [("hair", 1.8), ("glasses", 2.8), ("rest", 0.8)])
def test_distance_is_kept_from_other_classes(model, face, region, neighbor, kept_px):
    image = torch.full((1, 3, SIDE, SIDE), GRAY)
    seen, free = (
        observe_vertices(model, plain(face), image, class_maps(classes), crop_camera())
        for classes in (half(neighbor), all_of("skin"))
    )
    x = crop_camera().project(face.verts_cam)[0, :, 0]
    skin = inside(region, "face") & (seen.visible[0])
    assert seen.confidence[0, skin & (x > SIDE / 2 - kept_px + 0.2)].max() == 0
    away = skin & (x < SIDE / 2 - kept_px - 0.5)
    torch.testing.assert_close(seen.confidence[0, away], free.confidence[0, away], **CHAINS)


@pytest.mark.parametrize(("far_px", "kept"), [(4.5, False), (NEAR_PX[1] + 4, True)])
def test_a_dark_line_on_skin_is_refused_beside_glasses_and_kept_elsewhere(model, face, region, far_px, kept):
    """A piece of a frame that the parser took for skin; the same line far from any glasses may be a scar."""
    image = torch.full((1, 3, SIDE, SIDE), GRAY)
    line = int(SIDE / 2 - far_px)
    image[..., line - 1 : line + 2] = 0.05
    seen = observe_vertices(model, plain(face), image, class_maps(half("glasses")), crop_camera())
    x = crop_camera().project(face.verts_cam)[0, :, 0]
    on_line = inside(region, "face") & (view_cosine(face.verts_cam, face.normals_view)[0] > 0.7)
    on_line &= seen.visible[0] & ((x - line - 0.5).abs() < 0.5)
    assert on_line.sum() > 20
    assert seen.confidence[0, on_line].mean() == pytest.approx(float(kept), abs=0.05)


def test_nearness_falls_with_the_distance_to_background():
    classes = all_of("skin")
    classes[..., 100:] = all_of("rest")[..., 100:]
    near, (full, none) = nearness(classes)[0, 0, 50], NEAR_PX
    assert (near[100 - full :] == 1).all()
    assert (near[: 100 - none] == 0).all()
    assert (near.diff() >= 0).all()
    assert 0 < near[100 - (full + none) // 2] < 1


def test_class_maps_may_be_coarser_than_the_picture(model, face, on_skin):
    coarser = seen_with(model, face, all_of("skin", SIDE // 2))
    torch.testing.assert_close(coarser.confidence, on_skin.confidence)


def test_a_finer_picture_of_the_same_crop_shows_the_same(model, face, on_skin):
    finer = observe_vertices(model, face, ramp(2 * SIDE), class_maps(all_of("skin")), crop_camera(side_px=2 * SIDE))
    torch.testing.assert_close(finer.linear, on_skin.linear, atol=0.02, rtol=0)
    assert (finer.visible == on_skin.visible).float().mean() > 0.97


def test_grazing_sight_counts_less_and_less():
    cosine = torch.linspace(-1, 1, 101)
    weight, (low, high) = grazing_weight(cosine), GRAZING_COSINE
    assert weight[cosine <= low].max() == 0
    assert weight[cosine >= high].min() == 1
    assert (weight.diff() >= 0).all()
    assert float(grazing_weight(torch.tensor((low + high) / 2))) == pytest.approx(0.5)


def test_cosine_of_a_surface_that_faces_the_camera():
    place = torch.tensor([[[0.0, 0, 1000], [0, 0, 1000], [300, 0, 400]]])
    normal = torch.tensor([[[0.0, 0, 1], [1, 0, 0], [-0.6, 0, 0.8]]])
    torch.testing.assert_close(view_cosine(place, normal), torch.tensor([[1.0, 0, 1]]))


def test_mask_is_the_face_without_glasses_hair_and_ears():
    for name in PARSING_CLASSES:
        assert face_mask(all_of(name, 4)).mean() == float(name in FACE_CLASSES)


def test_colours_of_a_selection(on_skin):
    rows = torch.tensor([5, 3])
    torch.testing.assert_close(on_skin.colors(rows).linear, on_skin.linear[:, [5, 3]])
    torch.testing.assert_close(on_skin.colors().skin, on_skin.skin)


def test_a_mouth_is_seen_a_little_further_than_its_visible_vertices():
    """A strip of triangles of which one corner is visible; only the part of the mouth grows."""
    faces = torch.tensor([[0, 1, 2], [1, 3, 2], [2, 3, 4], [3, 5, 4], [4, 5, 6]])
    visible = torch.zeros(1, 7, dtype=torch.bool)
    visible[0, 0] = True
    part = torch.ones(7, dtype=torch.bool)
    assert _grown(visible, faces, part)[0].nonzero()[:, 0].tolist() == [0, 1, 2, 3, 4]
    part[3] = False
    assert _grown(visible, faces, part)[0].nonzero()[:, 0].tolist() == [0, 1, 2]
    assert _grown(visible, faces, torch.zeros_like(part))[0].sum() == 1

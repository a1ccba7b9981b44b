"""The texture of made-up photos: what is flat stays flat, detail lands where it was seen and on the mirrored place."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from coarse.face_model import load_face_model
from coarse.morphable import MorphableModel, crop_camera
from gcnface.photo.parsing import PARSING_CLASSES
from gcnface.result.reconstruction import TEXEL_SOURCES
from gcnface.stages.observation import class_maps, observe_vertices, view_cosine
from gcnface.stages.texture import TexturePhoto, bake_texture
from render.color import linear_from_srgb, srgb_from_linear

SIZE = 256
EMPTY, SEEN, MIRRORED, INFERRED = (TEXEL_SOURCES.index(name) for name in ("empty", "seen", "mirrored", "inferred"))


@pytest.fixture(scope="module")
def model():
    return load_face_model()


@pytest.fixture(scope="module")
def screen(model):
    network = MorphableModel(model)
    with torch.no_grad():
        face = network(network.layout.decode(torch.zeros(1, network.layout.total)))
        return crop_camera().project(face.verts_cam)[0]


@pytest.fixture(scope="module")
def place(model):
    """Chart vertices off the middle on the viewer's right, and where they and their mirror images lie, texture px."""
    uv_of = np.full((len(model.mean), 2), np.nan)
    corners = model.faces[model.chart_faces].ravel()
    uv_of[corners] = model.uv[model.uv_faces[model.chart_faces].ravel()]
    chosen = np.unique(corners)
    chosen = chosen[(model.mean[chosen, 0] > 8) & (model.mean[chosen, 0] < 45) & (model.mean[chosen, 2] > 60)]
    px_of = np.stack([uv_of[:, 0] * SIZE, (1 - uv_of[:, 1]) * SIZE], 1)
    return chosen, px_of[chosen].astype(int), px_of[model.mirror[chosen]].astype(int)


def flat(model, value):
    return torch.full((len(model.mean), 3), value)


def texture_photo(model, screen, weight, photo, shading=0.5):
    return TexturePhoto(photo, screen, flat(model, shading), weight)


def bake(model, screen, weight, photo, size=SIZE):
    return bake_texture(model, flat(model, 0.3), [texture_photo(model, screen, weight, photo)], size)


def waves():
    """Smooth stripes of 24 px over a photo of 224 px."""
    y, x = np.mgrid[:224, :224] + 0.5
    value = 0.45 + 0.1 * np.sin(2 * np.pi * x / 24) * np.sin(2 * np.pi * y / 24)
    return np.repeat(value[..., None], 3, 2).astype(np.float32)


def at(texture, px):
    return texture[px[:, 1], px[:, 0]]


def test_flat_photo_gives_its_albedo(model, screen):
    photo = np.full((224, 224, 3), 0.4, np.float32)
    texture = bake(model, screen, torch.ones(len(screen)), photo)
    expected = float(srgb_from_linear(linear_from_srgb(torch.tensor(0.4)) / 0.5))
    assert texture.rgb.shape == (SIZE, SIZE, 3)
    assert texture.rgb.dtype == np.float32
    np.testing.assert_allclose(texture.rgb[texture.source == SEEN], expected, atol=2e-3)


def test_unseen_surface_keeps_the_albedo_it_was_given(model, screen):
    texture = bake(model, screen, torch.zeros(len(screen)), waves())
    expected = float(srgb_from_linear(torch.tensor(0.3)))
    np.testing.assert_allclose(texture.rgb[texture.source == INFERRED], expected, atol=1e-5)
    assert set(np.unique(texture.source)) == {EMPTY, INFERRED}
    assert texture.confidence.max() == 0


def test_seen_detail_is_the_photo_at_the_texel(model, screen, place):
    texture = bake(model, screen, torch.ones(len(screen)), waves())
    chosen, own, _ = place
    x, y = screen[chosen, 0].numpy(), screen[chosen, 1].numpy()
    photo = torch.from_numpy(0.45 + 0.1 * np.sin(2 * np.pi * x / 24) * np.sin(2 * np.pi * y / 24))
    expected = srgb_from_linear(linear_from_srgb(photo) / 0.5).numpy()
    assert np.corrcoef(at(texture.rgb, own)[:, 0], expected)[0, 1] > 0.98


def test_detail_of_the_seen_half_lands_on_the_other(model, screen, place):
    half = torch.from_numpy((model.mean[:, 0] > 3).astype(np.float32))
    texture = bake(model, screen, half, waves())
    chosen, own, other = place
    here, there = at(texture.rgb, own)[:, 0], at(texture.rgb, other)[:, 0]
    assert here.std() > 0.03
    assert np.corrcoef(here, there)[0, 1] > 0.95
    assert np.abs(here - there).mean() < 0.25 * here.std()
    assert (at(texture.source, own) == SEEN).mean() > 0.97
    assert (at(texture.source, other) == MIRRORED).mean() > 0.97


def test_detail_of_the_other_half_lands_on_this_one(model, screen, place):
    half = torch.from_numpy((model.mean[:, 0] < -3).astype(np.float32))
    texture = bake(model, screen, half, waves())
    _, own, other = place
    assert (at(texture.source, own) == MIRRORED).mean() > 0.97
    assert np.corrcoef(at(texture.rgb, own)[:, 0], at(texture.rgb, other)[:, 0])[0, 1] > 0.95


def test_every_texel_of_the_chart_has_a_source(model, screen, place):
    texture = bake(model, screen, torch.ones(len(screen)), waves())
    filled = texture.source != EMPTY
    assert 0.5 < filled.mean() < 1
    assert set(np.unique(texture.source)) == {EMPTY, SEEN}
    assert texture.rgb.min() >= 0
    assert texture.rgb.max() <= 1


def test_a_finer_photo_is_averaged_not_aliased(model, screen, place):
    """One-px checks of a photo 16 times finer must come out as their mean."""
    y, x = np.mgrid[:3584, :3584]
    photo = np.repeat(np.where((x + y) % 2, np.float32(0.6), np.float32(0.2))[..., None], 3, 2)
    scaled = screen * torch.tensor([16.0, 16.0, 1.0])
    texture = bake(model, scaled, torch.ones(len(screen)), photo)
    values = at(texture.rgb, place[1])
    expected = float(srgb_from_linear(linear_from_srgb(torch.tensor(0.4)) / 0.5))
    np.testing.assert_allclose(values, expected, atol=0.03)


def test_arguments_are_not_written_to(model, screen):
    photo = waves()
    photo.flags.writeable = False
    seen, albedo = texture_photo(model, screen, torch.ones(len(screen)), photo), flat(model, 0.3)
    before = [tensor.clone() for tensor in (seen.screen, seen.shading, seen.weight, albedo)]
    bake_texture(model, albedo, [seen], 64)
    after = (seen.screen, seen.shading, seen.weight, albedo)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_two_photos_each_give_what_they_show(model, screen, place):
    """The viewer's right from a light photo, the left from a dark one; texels say which."""
    right = torch.from_numpy((model.mean[:, 0] > 0).astype(np.float32))
    photos = [np.full((224, 224, 3), value, np.float32) for value in (0.6, 0.3)]
    texture_photos = [
        texture_photo(model, screen, weight, photo) for weight, photo in zip((right, 1 - right), photos, strict=True)
    ]
    texture = bake_texture(model, flat(model, 0.3), texture_photos, SIZE)
    _, own, other = place
    for px, photo, value in ((own, 1, 0.6), (other, 2, 0.3)):
        expected = float(srgb_from_linear(linear_from_srgb(torch.tensor(value)) / 0.5))
        np.testing.assert_allclose(at(texture.rgb, px), expected, atol=2e-3)
        assert (at(texture.photo, px) == photo).mean() > 0.97
    np.testing.assert_array_equal(texture.photo > 0, texture.source == SEEN)


def test_mirrored_texels_name_the_photo_they_are_mirrored_from(model, screen, place):
    right = torch.from_numpy((model.mean[:, 0] > 3).astype(np.float32))
    texture_photos = [texture_photo(model, screen, weight, waves()) for weight in (0 * right, right)]
    texture = bake_texture(model, flat(model, 0.3), texture_photos, SIZE)
    _, own, other = place
    assert (at(texture.photo, own) == 2).mean() > 0.97
    assert (at(texture.photo, other) == 2).mean() > 0.97
    assert (texture.photo[texture.source == INFERRED] == 0).all()


def test_a_turned_head_shows_one_half_and_mirrors_the_other(model, place):
    """Provenance from the pose: what faces the camera is seen, what it hides and its mirror image shows is mirrored."""
    network = MorphableModel(model)
    neutral = network.layout.decode(torch.zeros(1, network.layout.total))
    with torch.no_grad():
        face = network(replace(neutral, rotation=torch.tensor([[0.0, -0.9, 0.0]])))
    skin = torch.zeros(1, len(PARSING_CLASSES), 224, 224)
    skin[:, PARSING_CLASSES.index("skin")] = 1
    gray = torch.full((1, 3, 224, 224), 0.5)
    evenly_lit = replace(face, albedo=torch.full_like(face.albedo, 0.2), shading=torch.ones_like(face.shading))
    seen = observe_vertices(model, evenly_lit, gray, class_maps(skin), crop_camera())
    screen = crop_camera().project(face.verts_cam)[0]
    photo = np.full((224, 224, 3), 0.5, np.float32)
    texture = bake(model, screen, seen.confidence[0], photo)
    chosen, own, other = place
    cosine = view_cosine(face.verts_cam, face.normals_view)[0]
    mirrored = torch.from_numpy(model.mirror).long()
    for px, vertices in ((own, chosen), (other, mirrored[chosen].numpy())):
        facing, twin = cosine[vertices].numpy(), cosine[mirrored[vertices]].numpy()
        plain = model.region_mask("face")[vertices] & (at(texture.source, px) != EMPTY)
        clear, hidden = plain & (facing > 0.4), plain & (facing < 0) & (twin > 0.4)
        assert max(clear.sum(), hidden.sum()) > 1000
        if clear.any():
            assert (at(texture.source, px)[clear] == SEEN).mean() > 0.95
            assert at(texture.confidence, px)[clear].mean() > 0.95
        if hidden.any():
            assert (at(texture.source, px)[hidden] == MIRRORED).mean() > 0.9
            assert at(texture.confidence, px)[hidden].mean() < 0.1
    assert (texture.source == MIRRORED).mean() > 0.05


def test_models_of_one_name_have_an_atlas_each(model, screen):
    small = replace(model, uv=model.uv * np.float32(0.5), cage=None)
    nobody = texture_photo(model, screen, torch.zeros(len(model.mean)), np.zeros((8, 8, 3), np.float32))
    one, other = (bake_texture(x, flat(model, 0.5), [nobody], SIZE).source for x in (model, small))
    assert (one[:, SIZE // 2 :] != EMPTY).any()
    assert (other[:, SIZE // 2 :] == EMPTY).all()

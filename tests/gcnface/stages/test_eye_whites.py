"""The whites of the eyes show the light: whatever the skin, and nothing where they are not seen."""

import pytest
import torch

from gcnface.photo.parsing import PARSING_CLASSES
from gcnface.stages.eye_whites import brighter_beside, eye_whites
from render.color import srgb_from_linear
from tests.tolerances import CHAINS, STORED

WHITE, SKIN = (0.42, 0.36, 0.34), (0.5, 0.3, 0.22)


def crop(white=WHITE, skin=SKIN, light=(1.0, 1.0, 1.0), open_px=14, iris=0.04):
    """A crop of skin with two eyes of white and iris, `open_px` high, and its classes."""
    linear = torch.tensor(skin)[:, None, None].expand(3, 224, 224).clone()
    classes = torch.zeros(1, len(PARSING_CLASSES), 224, 224)
    eye = torch.zeros(224, 224, dtype=torch.bool)
    for x in (66, 130):
        eye[90 : 90 + open_px, x : x + 28] = True
    linear[:, eye] = torch.tensor(white)[:, None]
    for x in (74, 138):
        linear[:, 90 : 90 + open_px, x : x + 12] = iris
    classes[0, PARSING_CLASSES.index("eyes")] = eye.float()
    classes[0, PARSING_CLASSES.index("skin")] = 1 - eye.float()
    lit = linear * torch.tensor(light)[:, None, None]
    return srgb_from_linear(lit.clamp(0, 1))[None], classes


def test_the_white_is_found_beside_the_iris():
    found = eye_whites(*crop())
    torch.testing.assert_close(found.log_rgb[0], torch.tensor(WHITE).log(), **CHAINS)
    assert float(found.trust) == pytest.approx(1.0)


@pytest.mark.parametrize("light", [(0.3, 0.3, 0.3), (1.2, 1.0, 0.8)])
def test_it_follows_the_light_and_not_the_skin(light):
    found = eye_whites(*crop(light=light))
    torch.testing.assert_close(found.log_rgb[0], (torch.tensor(WHITE) * torch.tensor(light)).log(), **STORED)
    dark = eye_whites(*crop(light=light, skin=(0.08, 0.045, 0.03)))
    torch.testing.assert_close(dark.log_rgb, found.log_rgb, **CHAINS)


def test_narrowed_eyes_and_eyes_as_red_as_skin_are_not_believed():
    assert float(eye_whites(*crop(open_px=2)).trust) == 0
    assert float(eye_whites(*crop(white=SKIN)).trust) == 0
    assert 0 < float(eye_whites(*crop(open_px=4)).trust) < 1


def test_a_face_without_eyes_or_skin_tells_nothing():
    image, classes = crop()
    found = eye_whites(image, torch.zeros_like(classes))
    assert float(found.trust) == 0
    assert found.log_rgb.isfinite().all()


def test_a_clipped_white_was_brighter_than_it_shows():
    found = eye_whites(*crop(light=(3.0, 3.0, 3.0)))
    assert (found.log_rgb > 0.1).all()


def test_crops_do_not_mix():
    one, other = crop(), crop(light=(0.4, 0.4, 0.4))
    both = eye_whites(torch.cat([one[0], other[0]]), torch.cat([one[1], other[1]]))
    torch.testing.assert_close(both.log_rgb[1], eye_whites(*other).log_rgb[0], **CHAINS)


def test_places_are_those_that_were_compared():
    (eye, beside), classes = eye_whites(*crop()).places[0], crop()[1][0]
    parsed = classes[PARSING_CLASSES.index("eyes")]
    assert 0 < eye.sum() < parsed.sum() / 2  # the white of one eye, and a little about it
    about = torch.nn.functional.max_pool2d(parsed[None], 9, 1, 4)[0]
    assert (eye * (1 - about)).sum() == 0
    assert beside.sum() > 0
    assert (beside * parsed).sum() == 0
    unseen = eye_whites(crop()[0], torch.zeros_like(classes[None]))
    assert unseen.places.shape == (1, 2, 224, 224)
    assert unseen.places.sum() == 0


def test_light_beside_the_eyes_is_held_against_that_on_them():
    places = torch.zeros(1, 2, 224, 224)
    places[0, 0, 100:110, 60:80] = 1
    places[0, 1, 112:120, 60:80] = 1
    y, x = torch.meshgrid(torch.arange(98.5, 122), torch.arange(55.5, 90), indexing="ij")
    xy = torch.stack([x.flatten(), y.flatten()], 1)[None]
    on_eye = (xy[..., 1] < 111).float()[..., None]
    shading = on_eye * torch.tensor([0.4, 0.4, 0.4]) + (1 - on_eye) * torch.tensor([0.6, 0.5, 0.4])
    seen = torch.ones(1, xy.shape[1], 2)
    found = brighter_beside(places, shading, xy, seen)
    torch.testing.assert_close(found, torch.tensor([[1.5, 1.25, 1.0]]).log(), **CHAINS)
    assert brighter_beside(places, shading, xy, seen * torch.tensor([0.0, 1.0])).abs().max() == 0  # a hidden eye

"""The shipped parser on two drawn faces, and what its network promises whatever its weights."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import gcnface
from gcnface.photo.parsing import PARSING_CLASSES, FaceParser, load_parser
from render.errors import WeightsError
from render.shapes import ShapeError
from tests.tolerances import CHAINS, STORED

WEIGHTS = Path(gcnface.__file__).parent / "assets" / "parser.safetensors"

SKIN, GLASSES = PARSING_CLASSES.index("skin"), PARSING_CLASSES.index("glasses")


@pytest.fixture(scope="module")
def parser():
    return load_parser()


@pytest.fixture(scope="module")
def shares(parser, crop):
    return parser.parse(crop.image[None])[0]


def share_around(shares, name, x, y, reach=3):
    """Mean share of a class in a small window."""
    window = shares[PARSING_CLASSES.index(name), y - reach : y + reach + 1, x - reach : x + reach + 1]
    return float(window.mean())


def test_weights_are_light():
    assert WEIGHTS.stat().st_size <= 3e6


def test_shares_are_probabilities(shares):
    assert shares.shape == (len(PARSING_CLASSES), 224, 224)
    assert shares.min() >= 0
    torch.testing.assert_close(shares.sum(0), torch.ones(224, 224))


@pytest.mark.parametrize(
    ("name", "x", "y"),
    [
        ("skin", 76, 126),
        ("skin", 148, 126),
        ("skin", 112, 190),
        ("skin", 112, 62),
        ("nose", 112, 120),
        ("rest", 20, 210),
        ("hair", 112, 20),
    ],
)
def test_parts_are_where_they_are(shares, name, x, y):
    assert share_around(shares, name, x, y) > 0.6


@pytest.mark.parametrize(("name", "box"), [("eyes", (64, 78, 160, 104)), ("brows", (56, 62, 168, 90))])
def test_eyes_and_brows_lie_on_both_sides(shares, name, box):
    x0, y0, x1, y1 = box
    found = shares.argmax(0) == PARSING_CLASSES.index(name)
    inside = torch.zeros_like(found)
    inside[y0:y1, x0:x1] = found[y0:y1, x0:x1]
    assert inside.sum() > 0.95 * found.sum()
    assert found[:, :112].sum() > 80
    assert found[:, 112:].sum() > 80


def test_lips_lie_between_the_corners_of_the_mouth(shares):
    found = torch.nonzero(shares.argmax(0) == PARSING_CLASSES.index("lips")).float()
    assert len(found) > 200
    y, x = found.mean(0).tolist()
    assert x == pytest.approx(112, abs=8)
    assert y == pytest.approx(153, abs=10)


def test_glasses_are_seen_only_where_worn(parser, shares, glasses_crop):
    worn = parser.parse(glasses_crop.image[None])[0].argmax(0) == GLASSES
    assert worn.sum() > 500
    assert (shares.argmax(0) == GLASSES).sum() < 50


@pytest.mark.parametrize("name", ["crop", "glasses_crop"])
def test_mirrored_face_gives_mirrored_classes(parser, name, request):
    image = request.getfixturevalue(name).image[None]
    plain, mirrored = parser.parse(image), parser.parse(image.flip(3)).flip(3)
    assert (plain.argmax(1) == mirrored.argmax(1)).float().mean() > 0.94
    skin, other = plain.argmax(1) == SKIN, mirrored.argmax(1) == SKIN
    assert (skin & other).sum() / (skin | other).sum() > 0.9


def test_a_batch_is_its_images_one_by_one(parser, crop, glasses_crop):
    images = torch.stack([crop.image, glasses_crop.image])
    apart = torch.cat([parser.parse(image[None]) for image in images])
    torch.testing.assert_close(parser.parse(images), apart, **CHAINS)


def test_folded_norms_change_nothing(parser, crop):
    plain = FaceParser()
    plain.load_state_dict({name: tensor.float() for name, tensor in load_file(WEIGHTS).items()})
    expected = plain.eval().parse(crop.image[None])
    torch.testing.assert_close(parser.parse(crop.image[None]), expected, **STORED)


def test_frozen(parser):
    assert not any(p.requires_grad for p in parser.parameters())
    assert not parser.training


@pytest.mark.parametrize("side", [64, 96])
def test_other_sides_that_are_multiples_of_sixteen(side):
    assert FaceParser().eval().parse(torch.rand(1, 3, side, side)).shape == (1, len(PARSING_CLASSES), side, side)


@pytest.mark.parametrize("shape", [(3, 224, 224), (1, 1, 224, 224)])
def test_other_shapes_are_refused(parser, shape):
    with pytest.raises(ShapeError, match="images"):
        parser.parse(torch.rand(shape))


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(WeightsError, match=r"nothing\.safetensors: parser weights are missing"):
        load_parser(tmp_path / "nothing.safetensors")


def test_weights_of_another_network_are_refused(tmp_path):
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"other\.safetensors: parser weights do not fit"):
        load_parser(tmp_path / "other.safetensors")

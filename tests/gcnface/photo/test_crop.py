"""Similarities in closed form, and a warp that keeps pixel centres at .5 and does not alias."""

import numpy as np
import pytest

from gcnface.photo.crop import (
    CROP_SIDE_PX,
    TEMPLATE_POINTS5_PX,
    align_face,
    similarity_from_points,
    similarity_scale,
    warp_image,
    warp_inside,
    warp_labels,
    warp_points,
)
from gcnface.photo.detection import Detection


def similarity(scale=1.0, angle=0.0, shift=(0.0, 0.0)):
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, shift[0]], [s, c, shift[1]], [0, 0, 1.0]])


def ramp(height, width):
    """An image whose colour is its own place: red x, green y, both over the side."""
    y, x = np.mgrid[:height, :width] + 0.5
    return np.stack([x / width, y / height, np.full_like(x, 0.5)], 2).astype(np.float32)


KNOWN = [
    similarity(),
    similarity(shift=(3.0, -7.0)),
    similarity(scale=2.5),
    similarity(angle=np.pi / 2),
    similarity(0.3, -2.1, (100.0, 20.0)),
]


@pytest.mark.parametrize("matrix", KNOWN)
def test_exact_points_give_the_similarity_back(matrix):
    target = TEMPLATE_POINTS5_PX @ matrix[:2, :2].T + matrix[:2, 2]
    np.testing.assert_allclose(similarity_from_points(TEMPLATE_POINTS5_PX, target), matrix, atol=1e-10)


def test_two_points_fix_it():
    found = similarity_from_points(np.array([[0, 0], [1, 0]]), np.array([[5, 5], [5, 7]]))
    np.testing.assert_allclose(found, similarity(2, np.pi / 2, (5, 5)), atol=1e-12)


def test_noisy_points_are_met_with_the_least_squared_error():
    rng = np.random.default_rng(0)
    source = rng.normal(size=(7, 2)) * 30
    target = rng.normal(size=(7, 2)) * 30
    best = similarity_from_points(source, target)

    def error(matrix):
        return np.sum((source @ matrix[:2, :2].T + matrix[:2, 2] - target) ** 2)

    for _ in range(50):
        change = similarity(1 + 0.05 * rng.normal(), 0.05 * rng.normal(), 0.5 * rng.normal(size=2))
        assert error(change @ best) >= error(best)


def test_mirrored_points_are_not_answered_with_a_mirror():
    mirrored = TEMPLATE_POINTS5_PX * [-1, 1]
    assert np.linalg.det(similarity_from_points(mirrored, TEMPLATE_POINTS5_PX)[:2, :2]) > 0


@pytest.mark.parametrize(("source", "target"), [((5, 2), (4, 2)), ((5, 3), (5, 3)), ((5,), (5,))])
def test_other_shapes_are_refused(source, target):
    with pytest.raises(ValueError, match=r"\(N, 2\)"):
        similarity_from_points(np.ones(source), np.ones(target))


def test_coinciding_points_are_refused():
    with pytest.raises(ValueError, match="coincide"):
        similarity_from_points(np.ones((5, 2)), TEMPLATE_POINTS5_PX)


def test_points_there_and_back():
    matrix = similarity(0.4, 1.0, (12, 30))
    points = np.random.default_rng(0).uniform(0, 200, (20, 3)).astype(np.float32)
    there = warp_points(points, matrix)
    np.testing.assert_allclose(there[:, 2], points[:, 2] * 0.4, rtol=1e-5)
    np.testing.assert_allclose(warp_points(there, np.linalg.inv(matrix)), points, atol=1e-3)


def test_scale_of_a_similarity():
    assert similarity_scale(similarity(0.37, 2.0, (5, 6))) == pytest.approx(0.37)


def test_identity_changes_nothing():
    image = np.random.default_rng(0).random((20, 30, 3), np.float32)
    np.testing.assert_allclose(warp_image(image, np.eye(3), (20, 30)), image, atol=1e-6)


def test_whole_shift_moves_whole_pixels():
    image = np.random.default_rng(0).random((20, 30, 3), np.float32)
    moved = warp_image(image, similarity(shift=(4, 2)), (20, 30))
    np.testing.assert_allclose(moved[2:, 4:], image[:-2, :-4], atol=1e-6)


@pytest.mark.parametrize("scale", [0.11, 0.25, 0.4, 0.7, 0.99, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_pixel_centres_lie_at_one_half(scale, angle):
    """A reading with centres at whole numbers would be off by half a source px or half a target px."""
    image = ramp(256, 320)
    matrix = similarity(scale, angle, (20.0, 10.0))
    hw = (64, 80)
    drawn = warp_image(image, matrix, hw)
    y, x = np.mgrid[: hw[0], : hw[1]] + 0.5
    seen = warp_points(np.stack([x, y], 2).reshape(-1, 2), np.linalg.inv(matrix)).reshape(*hw, 2)
    border = 4 + 4 / scale
    inner = ((seen > border) & (seen < np.array([320, 256]) - border)).all(2)
    assert inner.sum() > 50
    error_px = (drawn[..., :2] * [320, 256] - seen)[inner]
    assert np.abs(error_px).max() < 0.06 * max(1, 1 / scale)


@pytest.mark.parametrize("scale", [0.5, 0.3, 0.13])
def test_fine_patterns_fade_instead_of_aliasing(scale):
    y, x = np.mgrid[:512, :512]
    board = np.repeat(((x + y) % 2).astype(np.float32)[..., None], 3, 2)
    drawn = warp_image(board, similarity(scale, 0.1), (40, 40))
    assert np.abs(drawn[8:-8, 8:-8] - 0.5).max() < 0.12


def test_enlarged_edges_stay_in_range():
    image = np.zeros((8, 8, 3), np.float32)
    image[:, 4:] = 1
    drawn = warp_image(image, similarity(4), (32, 32))
    assert drawn.min() >= 0
    assert drawn.max() <= 1


@pytest.mark.parametrize("scale", [0.3, 2.0])
def test_border_pixels_repeat_outside(scale):
    image = np.full((40, 40, 3), 0.25, np.float32)
    drawn = warp_image(image, similarity(scale, 0.3, (500.0, -500.0)), (24, 24))
    np.testing.assert_allclose(drawn, 0.25, atol=1e-6)


def test_arguments_are_not_written_to():
    image, matrix = ramp(40, 40), similarity(0.4, 0.2, (3, 4))
    image.flags.writeable = matrix.flags.writeable = False
    warp_image(image, matrix, (20, 20))


def test_warp_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
        warp_image(np.zeros((4, 4), np.float32), np.eye(3), (4, 4))


def test_labels_stay_labels():
    labels = np.random.default_rng(0).choice(np.array([0, 3, 9], np.uint8), (50, 50))
    drawn = warp_labels(labels, similarity(0.7, 0.3, (20, 5)), (60, 60), outside=77)
    assert set(np.unique(drawn)) == {0, 3, 9, 77}


def test_labels_and_image_move_together():
    image = ramp(64, 64)
    labels = (image[..., 0] > 0.5).astype(np.uint8)
    matrix = similarity(1.7, 0.5, (10, -20))
    drawn, moved = warp_image(image, matrix, (80, 80)), warp_labels(labels, matrix, (80, 80))
    inside = warp_inside((64, 64), matrix, (80, 80))
    sure = inside & (np.abs(drawn[..., 0] - 0.5) > 0.02)
    np.testing.assert_array_equal(moved[sure], drawn[..., 0][sure] > 0.5)


def test_inside_is_where_the_photo_is():
    inside = warp_inside((10, 20), similarity(shift=(5, 0)), (10, 20))
    assert not inside[:, :5].any()
    assert inside[:, 5:].all()


def _detection(matrix):
    points = warp_points(TEMPLATE_POINTS5_PX, np.linalg.inv(matrix))
    return Detection(np.array([0, 0, 100, 100], np.float32), 1.0, points)


def test_crop_puts_the_points_on_the_template():
    matrix = similarity(0.5, 0.2, (10, 20))
    photo = ramp(500, 600)
    crop = align_face(photo, _detection(matrix))
    assert crop.image.shape == (3, CROP_SIDE_PX, CROP_SIDE_PX)
    np.testing.assert_allclose(crop.crop_from_photo, matrix, atol=1e-4)
    np.testing.assert_allclose(crop.photo_from_crop @ crop.crop_from_photo, np.eye(3), atol=1e-9)
    for x, y in TEMPLATE_POINTS5_PX.round().astype(int):
        expected = warp_points(np.array([[x + 0.5, y + 0.5]]), crop.photo_from_crop)[0]
        found = crop.image[:2, y, x].numpy() * [600, 500]
        np.testing.assert_allclose(found, expected, atol=0.1)


def test_crop_beyond_the_photo_says_so():
    crop = align_face(ramp(100, 100), _detection(similarity(1.0, 0.0, (80, 0))))
    assert not crop.inside[:, :80].any()
    assert crop.inside[:100, 80:180].all()

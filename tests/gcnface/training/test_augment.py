"""Random changes move pixels where their matrices say, and nothing else."""

import numpy as np
import pytest

from gcnface.training.augment import (
    Augmentation,
    draw_window,
    middle_window,
    noise_texture,
    occluded,
    random_window,
    recolored,
)

STILL = Augmentation(shift_px=0, scale=0, angle_rad=0, flip=0, color=0, gray=0, blur=0, jpeg=0, occluder=0, small=0)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def marked_canvas(x, y):
    canvas = np.zeros((288, 288, 3), np.uint8)
    canvas[y - 2 : y + 2, x - 2 : x + 2] = 255  # its middle lies on the corner (x, y) between pixels
    return canvas


def centroid(image):
    y, x = np.nonzero(image[..., 0] > 100)
    return np.array([x.mean() + 0.5, y.mean() + 0.5])


def test_the_middle_window_cuts_without_change():
    canvas = np.random.default_rng(0).integers(0, 256, (288, 288, 3), dtype=np.uint8)
    assert np.array_equal(draw_window(canvas, middle_window(288, 224), 224), canvas[32:256, 32:256])


@pytest.mark.parametrize("seed", range(6))
def test_marks_land_where_the_window_says(seed):
    window = random_window(np.random.default_rng(seed), Augmentation(angle_rad=0.8, scale=0.2), 288, 256)
    place = (window @ [150.0, 130.0, 1.0])[:2]
    assert np.abs(centroid(draw_window(marked_canvas(150, 130), window, 256)) - place).max() < 0.6


def test_windows_mirror_half_of_the_time(rng):
    signs = [np.linalg.det(random_window(rng, Augmentation(), 288, 224)) < 0 for _ in range(200)]
    assert 70 < sum(signs) < 130
    assert not any(np.linalg.det(random_window(rng, STILL, 288, 224)) < 0 for _ in range(20))


def test_turns_keep_their_limit(rng):
    windows = [random_window(rng, Augmentation(angle_rad=0.4, flip=0, scale=0), 288, 224) for _ in range(300)]
    angles = np.array([np.arctan2(w[1, 0], w[0, 0]) for w in windows])
    assert np.abs(angles).max() <= 0.4 + 1e-9
    assert angles.std() > 0.1


def test_no_change_of_colour_is_no_change(rng):
    image = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    colors, natural = recolored(image, rng, STILL)
    assert natural
    assert np.abs(colors - image / 255).max() < 1e-6


def test_gain_and_gamma_act_on_every_channel_alike():
    image = np.dstack([np.arange(256, dtype=np.uint8)[None].repeat(8, 0)] * 3)
    colors, natural = recolored(image, np.random.default_rng(1), Augmentation(small=0, blur=0, jpeg=0, gray=0))
    assert natural
    for channel in range(3):
        ramp = colors[0, :, channel]
        assert (np.diff(ramp) >= 0).all()
        inner = (ramp > 0.02) & (ramp < 0.98)
        level = np.log(np.arange(256)[inner] / 255)
        slope = np.polyfit(level, np.log(ramp[inner]), 1)[0]
        assert np.abs(np.polyval(np.polyfit(level, np.log(ramp[inner]), 1), level) - np.log(ramp[inner])).max() < 1e-3
        assert slope == pytest.approx(np.polyfit(level, np.log(colors[0, inner, channel]), 1)[0], rel=1e-3)


@pytest.mark.parametrize("change", ["gray", "blur", "small"])
def test_changed_pictures_are_said_to_be_changed(rng, change):
    image = rng.integers(0, 256, (96, 96, 3), dtype=np.uint8)
    settings = Augmentation(**{**STILL.__dict__, change: 1.0})
    colors, natural = recolored(image, rng, settings)
    assert not natural
    assert np.abs(colors - image / 255).max() > 0.05


def test_occluders_cover_what_they_say(rng):
    image, texture = np.zeros((224, 224, 3), np.uint8), noise_texture(rng, 224) // 2 + 100
    covered_image, covered = occluded(image, texture, rng)
    assert covered.any()
    assert np.array_equal(covered, covered_image.any(2))
    assert np.array_equal(covered_image[covered], texture[covered])
    assert not image.any()

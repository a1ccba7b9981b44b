from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from gcnface.result.files.overlay import BACKGROUND, PANEL_HEIGHT_PX, choose_panel, overlay_image
from tests.gcnface.results import PHOTO_HW, make_reconstruction


@pytest.fixture(scope="module")
def panels():
    result = make_reconstruction()
    image, width = overlay_image(result), choose_panel(result).hw[1]
    return [image[:, k * (width + 4) : k * (width + 4) + width] for k in range(5)]


def middle(panel):
    height, width = panel.shape[:2]
    return panel[height // 2, width // 2]


def test_photo_coarse_refined_and_two_turned_heads(panels):
    assert len({panel.shape for panel in panels}) == 1
    photo, coarse, refined, left, right = panels
    assert np.allclose(photo, 0.25, atol=1 / 255)
    assert np.allclose(middle(coarse), (0.1, 0.8, 0.1), atol=1e-3)
    assert np.allclose(middle(refined), (0.5, 0.5, 0.4), atol=0.02)
    for panel in (coarse, refined):
        assert np.allclose(panel[0, 0], photo[0, 0], atol=1e-3)
    for panel in (left, right):
        assert np.allclose(panel[0, 0], BACKGROUND, atol=1e-3)


def test_the_head_turns_to_the_right_and_then_to_the_left(panels):
    # red grows with u, and u with the angle towards the viewer's right: what turns to the right shows less of it
    reds = [middle(panel)[0] for panel in panels]
    assert reds[3] < reds[2] - 0.03
    assert reds[4] > reds[2] + 0.03


@pytest.mark.parametrize("factor", [0.2, 1, 12])
def test_panels_have_a_sensible_size_whatever_the_photo(factor):
    result = make_reconstruction()
    hw = tuple(int(side * factor) for side in PHOTO_HW)
    scale = np.diag([factor, factor, 1])
    panel = choose_panel(replace(result, photo=np.zeros((*hw, 3)), px_from_cam=scale @ result.px_from_cam))
    left, top, right, bottom = panel.box
    assert PANEL_HEIGHT_PX[0] <= panel.hw[0] <= PANEL_HEIGHT_PX[1]
    assert 0 <= left < right <= hw[1]
    assert 0 <= top < bottom <= hw[0]
    assert panel.hw[1] / panel.hw[0] == pytest.approx((right - left) / (bottom - top), rel=0.02)


def test_a_face_outside_the_photo_shows_the_whole_photo():
    result = make_reconstruction()
    shifted = replace(result, px_from_cam=np.array([[1, 0, 5000], [0, 1, 0], [0, 0, 1]]) @ result.px_from_cam)
    assert choose_panel(shifted).box == (0, 0, PHOTO_HW[1], PHOTO_HW[0])


def test_without_a_photo_the_message_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="read_photo"):
        make_reconstruction(photo=False).save(tmp_path, "x", ["overlay"])
    assert not list(tmp_path.iterdir())


def test_the_file(tmp_path):
    make_reconstruction().save(tmp_path, "ball", ["overlay"])
    assert Image.open(tmp_path / "ball_overlay.png").mode == "RGB"

import math
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from coarse.face_model import load_face_model
from gcnface.errors import GcnfaceError
from gcnface.evaluation.groups import (
    TONES,
    cheeks_and_forehead,
    glasses_share,
    read_groups,
    skin_angles_deg,
    tone_of,
    tones_of,
    typology_angle_deg,
)
from gcnface.photo.parsing import PARSING_CLASSES


def linear_of_lab(lightness, a, b):
    """Linear sRGB of a CIELAB colour under D65, by the definition."""
    fy = (lightness + 16) / 116
    f = np.array([fy + a / 500, fy, fy - b / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.95047, 1.0, 1.08883]
    from_xyz = [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]
    return np.array(from_xyz) @ xyz


@pytest.mark.parametrize(("lightness", "b"), [(70, 15), (60, 18), (45, 20), (30, 10)])
def test_angle_of_a_known_colour(lightness, b):
    color = torch.tensor(linear_of_lab(lightness, 9, b), dtype=torch.float32).expand(10, 3)
    assert typology_angle_deg(color) == pytest.approx(math.degrees(math.atan((lightness - 50) / b)), abs=0.5)


def test_a_mole_does_not_move_the_median():
    skin = torch.tensor(linear_of_lab(65, 9, 16), dtype=torch.float32).repeat(100, 1)
    with_mole = skin.clone()
    with_mole[:20] = 0.01
    assert typology_angle_deg(with_mole) == pytest.approx(typology_angle_deg(skin), abs=0.5)


def test_published_bounds():
    names = [tone_of(angle) for angle in (60, 50, 30, 20, 0, -40)]
    assert names == list(TONES)
    assert tone_of(41.0) == "intermediate"
    assert tone_of(41.01) == "light"
    assert tone_of(math.nan) is None


def test_people_are_grouped_by_both_angles():
    """Light skin in a dark picture is light by its albedo and tan by the photo."""
    assert tones_of({"albedo": 45.0, "photo": 20.0}) == {"skin tone": "light", "skin tone in the photo": "tan"}
    assert tones_of({"albedo": math.nan, "photo": -40.0}) == {"skin tone in the photo": "dark"}


def test_patches_are_symmetric_and_of_the_face():
    model = load_face_model()
    patch = cheeks_and_forehead(model)
    assert 500 < patch.sum() < 0.4 * len(patch)
    assert (patch & patch[model.mirror]).sum() > 0.85 * patch.sum()
    points = model.landmarks468(model.mean)
    for far in (4, 13, 152, 33):
        assert np.linalg.norm(model.mean[patch] - points[far], axis=1).min() > 8


def seen_with(linear, shading, skin):
    view = SimpleNamespace(shading=shading[None])
    return SimpleNamespace(view=view, observation=SimpleNamespace(linear=linear[None], skin=skin[None]))


def test_light_counts_in_the_photo_and_not_in_the_albedo():
    color = torch.tensor(linear_of_lab(60, 9, 16), dtype=torch.float32)
    patch = np.ones(200, bool)
    found = []
    for light in (0.3, 0.9):
        shading = torch.full((200, 3), light)
        found.append(skin_angles_deg(seen_with(color * shading, shading, torch.ones(200)), patch))
    assert found[0]["albedo"] == pytest.approx(found[1]["albedo"], abs=1e-3)
    assert found[0]["albedo"] == pytest.approx(typology_angle_deg(color[None]), abs=1e-3)
    assert found[0]["photo"] < found[1]["photo"] - 20


def test_hidden_skin_tells_nothing():
    colors = torch.full((200, 3), 0.3)
    found = skin_angles_deg(seen_with(colors, colors, torch.zeros(200)), np.ones(200, bool))
    assert all(math.isnan(angle) for angle in found.values())


@pytest.mark.parametrize("side", [224, 448])
def test_share_of_glasses(side):
    labels = torch.zeros(1, len(PARSING_CLASSES), 224, 224)
    labels[:, PARSING_CLASSES.index("skin")] = 0.5
    labels[:, PARSING_CLASSES.index("glasses"), 50:100, :] = 0.9
    head = np.zeros((side, side), bool)
    head[: side * 200 // 224] = True
    assert glasses_share(labels, head) == pytest.approx(0.25, abs=0.01)


def test_table_of_groups(tmp_path):
    path = tmp_path / "who.csv"
    path.write_text("file,age,beard\na.jpg,old,yes\nb.jpg,young,\n")
    assert read_groups(path) == {"a.jpg": {"age": "old", "beard": "yes"}, "b.jpg": {"age": "young"}}


@pytest.mark.parametrize("text", ["", "file\na.jpg\n", "name,age\na,1\n"])
def test_tables_that_are_none_are_refused(tmp_path, text):
    path = tmp_path / "who.csv"
    path.write_text(text)
    with pytest.raises(GcnfaceError, match="who.csv"):
        read_groups(path)


def test_a_pipe_is_no_table(tmp_path):
    os.mkfifo(tmp_path / "who.csv")
    with pytest.raises(GcnfaceError, match="is a pipe, not a file; give a CSV file"):
        read_groups(tmp_path / "who.csv")

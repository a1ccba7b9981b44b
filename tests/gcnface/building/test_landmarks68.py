"""The recorded places of the 68 points, and the shipped file that has them."""

import dataclasses

import numpy as np

from coarse.face_model import LANDMARKS68_MIRROR, load_face_model, save_face_model
from gcnface.building.landmarks68 import CHART_PLACES, main, place_landmarks68
from tests.tolerances import CHAINS


def test_every_point_has_a_place_or_a_partner():
    partners = {LANDMARKS68_MIRROR[index] for index in CHART_PLACES}
    assert set(CHART_PLACES) | partners == set(range(68))
    assert all(u == 0.5 for index, (u, _) in CHART_PLACES.items() if LANDMARKS68_MIRROR[index] == index)
    assert all(u < 0.5 for index, (u, _) in CHART_PLACES.items() if LANDMARKS68_MIRROR[index] != index)


def test_the_shipped_model_has_these_places():
    model = load_face_model()
    found = place_landmarks68(model.chart_uv, model.faces, model.chart_faces, model.mirror)
    np.testing.assert_allclose(found.on(model.mean, model.faces), model.landmarks68(model.mean), atol=1e-3)
    uv = model.landmarks68(np.nan_to_num(model.chart_uv))
    for index, place in CHART_PLACES.items():
        np.testing.assert_allclose(uv[index], place, **CHAINS)


def test_the_command_puts_them_into_a_file(tmp_path):
    model = load_face_model()
    other = dataclasses.replace(model, landmarks68_face=np.zeros(68, np.int32))
    save_face_model(other, tmp_path / "model.npz")
    main([str(tmp_path / "model.npz")])
    np.testing.assert_array_equal(load_face_model(tmp_path / "model.npz").landmarks68_face, model.landmarks68_face)

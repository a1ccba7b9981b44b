"""The shipped face model and its file format."""

import dataclasses
import gc
import time
import weakref

import numpy as np
import pytest

from coarse.face_model import (
    DEFAULT_FACE_MODEL,
    LANDMARKS5_FROM_468,
    LANDMARKS68_FROM_468,
    LANDMARKS68_MIRROR,
    REGIONS,
    FaceModel,
    FaceModelError,
    expression_mirror,
    identity_mirror_sign,
    kept_with_model,
    load_face_model,
    save_face_model,
)
from render.errors import WeightsError

FLIP = np.array([-1.0, 1.0, 1.0], np.float32)


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model()


def signed_areas(points, faces):
    a, b, c = (points[faces[:, i]] for i in range(3))
    return 0.5 * ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])


def test_file_is_small_and_loads_quickly():
    start = time.perf_counter()
    load_face_model()
    # A warm load takes 0.4 s on a free machine; the bound leaves room for a busy one.
    assert time.perf_counter() - start < 5.0
    assert DEFAULT_FACE_MODEL.stat().st_size < 25e6


def test_counts(model):
    assert 30_000 <= len(model.mean) <= 70_000
    assert model.identity_basis.shape[2] >= 80
    assert model.expression_basis.shape[2] == len(set(model.expression_names)) == 52
    assert {"jawOpen", "mouthSmileLeft", "eyeBlinkRight"} <= set(model.expression_names)
    assert len(model.levels) == 5


def test_everything_is_finite(model):
    for name in ("mean", "identity_basis", "expression_basis", "albedo_mean", "albedo_basis", "uv"):
        assert np.isfinite(getattr(model, name)).all(), name


def test_mirror_is_exact(model):
    assert (model.mirror[model.mirror] == np.arange(len(model.mean))).all()
    np.testing.assert_array_equal(model.mean[model.mirror], model.mean * FLIP)
    mirrored = {tuple(sorted(face)) for face in model.mirror[model.faces].tolist()}
    assert mirrored == {tuple(sorted(face)) for face in model.faces.tolist()}
    np.testing.assert_array_equal(model.region[model.mirror], model.region)


def test_size_and_axes_of_the_mean(model):
    eyes = model.mean[model.region_mask("eyeballs")]
    left, right = eyes[eyes[:, 0] > 0], eyes[eyes[:, 0] < 0]
    pupils = 0.5 * (left.min(0) + left.max(0)) - 0.5 * (right.min(0) + right.max(0))
    assert pupils[0] == pytest.approx(63.0, abs=0.5)
    points = model.landmarks468(model.mean)
    assert points[4, 2] == pytest.approx(model.mean[:, 2].max(), abs=3.0)  # the nose tip points at the viewer
    assert points[10, 1] > points[4, 1] > points[152, 1]  # brow, nose tip, chin from top to bottom
    assert points[33, 0] < 0 < points[263, 0]  # the subject's right eye is on the viewer's left
    ears = model.mean[model.region_mask("ears")]
    np.testing.assert_allclose(ears.mean(0), 0.0, atol=6.0)


def test_outward_faces(model):
    corners = model.mean[model.faces].astype(np.float64)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    skin = np.isin(model.region[model.faces], [REGIONS.index("scalp"), REGIONS.index("eyeballs")]).all(1)
    eyeball = (model.region[model.faces] == REGIONS.index("eyeballs")).all(1)
    middle = corners.mean(1)
    center = np.where(eyeball[:, None], 0.0, model.mean.mean(0))
    for side in (-1, 1):
        own = eyeball & (side * middle[:, 0] > 0)
        center[own] = middle[own].mean(0)
    assert (((middle - center) * normal).sum(1)[skin] > 0).mean() > 0.97


def test_closed_but_for_neck_and_lids(model):
    sides = np.sort(np.concatenate([model.faces[:, [0, 1]], model.faces[:, [1, 2]], model.faces[:, [2, 0]]]), axis=1)
    rim, count = np.unique(sides, axis=0, return_counts=True)
    assert count.max() == 2
    at_rim = model.mean[rim[count == 1].ravel()]
    neck = at_rim[:, 1] < model.mean[:, 1].min() + 60.0
    lids = np.abs(np.abs(at_rim[:, 0]) - 31.5) < 20.0
    assert (neck | lids).all()


def test_face_chart_is_an_embedding_mirrored_in_u(model):
    faces = model.faces[model.chart_faces]
    uv = model.chart_uv.astype(np.float64)
    assert signed_areas(uv, faces).min() > 0
    inside = np.isfinite(uv).all(1)
    assert set(np.unique(faces)) == set(np.flatnonzero(inside))
    assert uv[inside].min() >= 0
    assert uv[inside].max() <= 1
    np.testing.assert_allclose(uv[model.mirror][inside], uv[inside] * [-1, 1] + [1, 0], atol=1e-6)


def test_chart_covers_skin_only(model):
    regions = set(model.region[np.unique(model.faces[model.chart_faces])].tolist())
    assert regions <= {REGIONS.index("face"), REGIONS.index("eyes_nose_mouth")}


def test_atlas_gives_the_face_most_texels(model):
    uv = model.uv.astype(np.float64)
    area = np.abs(signed_areas(uv, model.uv_faces))
    assert area[model.chart_faces].sum() >= 0.70
    assert uv.min() >= 0
    assert uv.max() <= 1
    corner = np.full(len(uv), -1)
    corner[model.uv_faces.ravel()] = model.faces.ravel()
    np.testing.assert_array_equal(corner[model.uv_faces], model.faces)  # a uv corner belongs to one vertex


def test_atlas_charts_do_not_overlap(model):
    size = 512
    center = model.uv[model.uv_faces].mean(1)
    in_chart = np.zeros(len(center), bool)
    in_chart[model.chart_faces] = True
    assert center[in_chart, 1].min() > center[~in_chart, 1].max()
    cells = np.unique((center[~in_chart] * size).astype(int), axis=0)
    assert len(cells) > 0.5 * min(len(center[~in_chart]), 0.1 * size * size)


def test_atlas_mirrors_the_chart(model):
    local = np.full((len(model.mean), 2), np.nan)
    local[model.faces[model.chart_faces]] = model.uv[model.uv_faces[model.chart_faces]]
    inside = np.isfinite(local).all(1)
    np.testing.assert_allclose(local[model.mirror][inside, 0], 1 - local[inside, 0], atol=1e-6)


def test_landmarks(model):
    assert len(LANDMARKS68_FROM_468) == 68 == len(set(LANDMARKS68_FROM_468))
    assert len(LANDMARKS5_FROM_468) == 5
    np.testing.assert_allclose(model.landmarks468_bary.sum(1), 1.0, atol=1e-5)
    assert model.landmarks468_bary.min() >= -1e-6
    names = np.array(REGIONS)[model.region[model.faces[model.landmarks468_face]]]
    assert not np.isin(names, ["eyeballs", "mouth_interior", "neck"]).any()
    points = model.landmarks468(model.mean)
    assert abs(points[[0, 1, 2, 4, 10, 152], 0]).max() < 0.5
    pairs = np.array([(33, 263), (133, 362), (61, 291), (78, 308), (234, 454)])
    np.testing.assert_allclose(points[pairs[:, 0]], points[pairs[:, 1]] * FLIP, atol=0.5)


def test_the_68_points_are_their_own_mirror_image(model):
    partner = np.array(LANDMARKS68_MIRROR)
    np.testing.assert_array_equal(partner[partner], np.arange(68))
    points = model.landmarks68(model.mean)
    np.testing.assert_allclose(points[partner], points * FLIP, atol=1e-4)
    posed = model.mean + model.expression_basis[..., model.expression_names.index("jawOpen")]
    np.testing.assert_allclose(model.landmarks68(posed)[partner], model.landmarks68(posed) * FLIP, atol=0.05)


def test_the_68_points_lie_where_the_mark_up_has_them(model):
    """On the skin of the face chart; the jaw before the ears and along the lower edge, eyes, nose and lips in place."""
    assert np.isin(model.landmarks68_face, model.chart_faces).all()
    points, dense = model.landmarks68(model.mean), model.landmarks468(model.mean)
    for mark, near in {36: 33, 45: 263, 48: 61, 54: 291, 30: 4, 33: 2, 51: 0, 57: 17}.items():
        assert np.linalg.norm(points[mark] - dense[near]) < 3.0, mark
    assert np.linalg.norm(points[39] - dense[133]) < 3.0
    ear = model.mean[model.region_mask("ears") & (model.mean[:, 0] < 0)]
    before_ear = points[:3, 2] - np.array([ear[np.abs(ear[:, 1] - y) < 2.0][:, 2].max() for y in points[:3, 1]])
    assert ((before_ear > 1.0) & (before_ear < 12.0)).all()  # mm in front of it
    assert (np.diff(points[:9, 1]) < 0).all()  # down to the chin
    assert (np.diff(points[2:9, 2]) > 0).all()  # and forward
    assert points[8, 1] < points[57, 1] - 25
    assert points[48, 1] > points[4, 1] > points[8, 1]  # the jaw's angle below the mouth's corner
    # An opened jaw takes the chin along and leaves what stands before the ears.
    moved = np.linalg.norm(
        model.landmarks68(model.expression_basis[..., model.expression_names.index("jawOpen")]), axis=1
    )
    assert moved[8] > 15
    assert moved[[0, 16]].max() < 1


def test_files_without_the_68_points_get_them(model, tmp_path):
    with np.load(DEFAULT_FACE_MODEL) as archive:
        arrays = {name: archive[name] for name in archive.files if not name.startswith("landmarks68")}
    np.savez(tmp_path / "old.npz", **arrays)
    old = load_face_model(tmp_path / "old.npz")
    np.testing.assert_array_equal(old.landmarks68_face, model.landmarks68_face)
    np.testing.assert_array_equal(old.landmarks68_bary, model.landmarks68_bary)
    assert old.fingerprint == model.fingerprint


def test_jaw_opens_the_inner_lips(model):
    opened = model.mean + model.expression_basis[..., model.expression_names.index("jawOpen")]
    rest, wide = model.landmarks468(model.mean), model.landmarks468(opened)
    assert rest[13, 1] - rest[14, 1] < 4.0
    assert wide[13, 1] - wide[14, 1] > 20.0


def test_blink_closes_the_lids_in_front_of_the_eyeball(model):
    index = model.expression_names.index("eyeBlinkLeft")
    rest, shut = model.landmarks468(model.mean), model.landmarks468(model.mean + model.expression_basis[..., index])
    assert rest[386, 1] - rest[374, 1] > 6.0
    assert shut[386, 1] - shut[374, 1] < 2.5
    np.testing.assert_allclose(shut[159], rest[159], atol=0.3)  # the other eye stays


def test_left_units_move_the_subjects_left(model):
    for name in ("mouthSmileLeft", "eyeBlinkLeft", "browOuterUpLeft"):
        unit = np.linalg.norm(model.expression_basis[..., model.expression_names.index(name)], axis=1)
        assert (unit * model.mean[:, 0]).sum() > 0, name
    rotated = model.expression_basis[..., model.expression_names.index("eyeLookOutLeft")]
    pupil = model.mean[:, 2] * model.region_mask("eyeballs") * (model.mean[:, 0] > 0)
    assert rotated[pupil.argmax(), 0] > 3.0


def test_mirrored_coefficients_give_the_mirrored_face(model):
    rng = np.random.default_rng(0)
    identity, expression = rng.normal(size=model.identity_basis.shape[2]), rng.random(52)

    def face(a, e):
        return model.mean + model.identity_basis @ a + model.expression_basis @ e

    sign, other = identity_mirror_sign(model), expression_mirror(model.expression_names)
    twin = face(identity * sign, expression[other])
    np.testing.assert_allclose(twin, face(identity, expression)[model.mirror] * FLIP, atol=0.1)


def test_identity_prior_is_of_human_size(model):
    skin = model.region_mask("face", "eyes_nose_mouth")
    spread = np.sqrt((model.identity_basis[skin] ** 2).sum((1, 2)))
    assert 2.0 < np.sqrt((spread**2).mean()) < 5.0


def test_levels_nest(model):
    vertices = model.mean
    for fine, coarse in zip(model.levels[:-1], model.levels[1:], strict=True):
        kept = vertices[fine.down_index]
        assert coarse.faces.max() == len(kept) - 1
        np.testing.assert_allclose(fine.up_weight.sum(1), 1.0, atol=1e-5)
        back = (fine.up_weight[..., None] * kept[fine.up_index]).sum(1)
        np.testing.assert_allclose(back[fine.down_index], kept, atol=1e-3)
        assert np.median(np.linalg.norm(back - vertices, axis=1)) < 3.0
        vertices = kept
    np.testing.assert_array_equal(model.levels[0].faces, model.faces)


def test_numbering_has_a_small_bandwidth(model):
    for level in model.levels[:3]:
        count = level.faces.max() + 1
        band = np.abs(level.faces - np.roll(level.faces, 1, axis=1)).max()
        assert band < 12 * np.sqrt(count)


def test_round_trip_on_the_cage(model, tmp_path):
    save_face_model(model, tmp_path / "model.npz")
    again = load_face_model(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.mean, model.mean)
    np.testing.assert_array_equal(again.identity_basis, model.identity_basis)
    np.testing.assert_array_equal(again.albedo_mean, model.albedo_mean)
    assert again.expression_names == model.expression_names


def test_round_trip_dense(model, tmp_path):
    rows = slice(0, 3)
    dense = dataclasses.replace(model, identity_basis=model.identity_basis[..., rows], cage=None)
    save_face_model(dense, tmp_path / "model.npz")
    again = load_face_model(tmp_path / "model.npz")
    np.testing.assert_allclose(again.identity_basis, dense.identity_basis, atol=0.02)
    np.testing.assert_array_equal(again.mean, dense.mean)


def test_stale_cage_is_refused(model, tmp_path):
    changed = dataclasses.replace(model, identity_basis=model.identity_basis * 2)
    with pytest.raises(FaceModelError, match="cage"):
        save_face_model(changed, tmp_path / "model.npz")


def test_wrong_shapes_are_refused(model):
    with pytest.raises(FaceModelError, match="albedo_mean"):
        dataclasses.replace(model, albedo_mean=model.albedo_mean[:-1])


def test_foreign_file_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", something=np.zeros(3))
    with pytest.raises(WeightsError, match=r"other\.npz: cannot be read as face model arrays"):
        load_face_model(tmp_path / "other.npz")


def test_models_are_told_apart_by_what_they_hold(model):
    twin = dataclasses.replace(model, cage=None)
    thinner = dataclasses.replace(model, identity_basis=model.identity_basis[..., :3], cage=None)
    assert twin != model
    assert twin.fingerprint == model.fingerprint != thinner.fingerprint


def test_what_is_built_of_a_model_goes_with_it(model):
    built = []
    table = kept_with_model(lambda of, size: built.append(size) or np.zeros(size))
    twin = dataclasses.replace(model, cage=None)
    assert table(twin, 3) is table(twin, 3)
    assert table(model, 3) is not table(twin, 3)
    kept = weakref.ref(table(twin, 3))
    assert table(twin, 4).size == 4
    assert built == [3, 3, 4]
    del twin
    gc.collect()
    assert kept() is None

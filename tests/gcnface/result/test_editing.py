from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from gcnface.result.editing import ExpressionError, drawn_shading
from gcnface.result.lights import LIGHTS
from render.color import linear_from_srgb
from render.lighting import rotated_lighting
from render.rotation import euler_from_rotation, rotation_from_axis_angle
from tests.gcnface.results import make_head, make_reconstruction


@pytest.fixture(scope="module")
def head():
    return make_head()


def linear(srgb):
    return linear_from_srgb(torch.from_numpy(srgb)).numpy()


def pose(face):
    return np.degrees(euler_from_rotation(rotation_from_axis_angle(torch.from_numpy(face.rotation)[None]))[0].numpy())


def test_albedo_times_shading_is_what_was_seen(head):
    assert np.allclose(linear(head.vertex_rgb), head.vertex_albedo * head.shading, atol=1e-5)


def test_ambient_light_shows_the_albedo_times_a_constant(head):
    white = head.relit("ambient")
    assert np.allclose(white.shading, 1, atol=1e-5)
    assert np.allclose(linear(white.vertex_rgb), head.vertex_albedo, atol=1e-4)
    half = head.relit(LIGHTS["ambient"].lighting / 2)
    assert np.allclose(linear(half.vertex_rgb), head.vertex_albedo / 2, atol=1e-4)


def test_relighting_there_and_back_changes_nothing(head):
    back = head.relit("sunset").relit(head)
    assert np.array_equal(back.lighting, head.lighting)
    assert np.allclose(back.vertex_rgb, head.vertex_rgb, atol=1e-4)
    assert np.abs(head.relit("sunset").vertex_rgb - head.vertex_rgb).max() > 0.1
    assert head.relit("own") is head


def test_light_leaves_the_albedo_alone(head):
    lit = head.relit("left")
    for name in ("vertex_albedo", "vertices_cam", "rotation", "expression"):
        assert np.array_equal(getattr(lit, name), getattr(head, name))
    assert lit.mesh is head.mesh


def test_turning_by_nothing_changes_nothing(head):
    assert head.rotated(0, 0, 0) is head
    there_and_back = head.rotated(yaw=50).rotated(yaw=-50)
    assert np.allclose(there_and_back.vertices_cam, head.vertices_cam, atol=1e-2)
    assert np.allclose(there_and_back.vertex_rgb, head.vertex_rgb, atol=1e-3)


def test_angles_have_the_signs_of_the_conventions(head):
    assert np.allclose(pose(head.rotated(upright=True)), 0, atol=1e-4)
    assert np.allclose(pose(head.rotated(30, -20, 10, upright=True)), (30, -20, 10), atol=1e-3)
    nose = head.rotated(40, upright=True).landmarks468[4]
    assert nose[0] > head.rotated(upright=True).landmarks468[4][0] + 20
    assert head.rotated(0, 30, upright=True).landmarks468[4][1] > head.rotated(upright=True).landmarks468[4][1] + 20


def test_the_head_turns_about_its_origin_and_its_own_axes(head):
    """The matrix of the turn stands behind the head's own: the vertical axis of a leaning head leans."""
    rotated = head.rotated(yaw=70)
    before = head.vertices_cam - head.translation
    after = rotated.vertices_cam - rotated.translation
    assert np.array_equal(rotated.translation, head.translation)
    assert np.allclose(np.linalg.norm(before, axis=1), np.linalg.norm(after, axis=1), atol=1e-2)
    up = rotation_from_axis_angle(torch.from_numpy(head.rotation)[None])[0, :, 1].numpy() * (1, -1, -1)
    assert np.allclose(before @ up, after @ up, atol=1e-2)


def test_landmarks_turn_with_the_head(head):
    rotated = head.rotated(yaw=25, pitch=5)
    screen = rotated.vertices_cam @ rotated.px_from_cam.T
    xy = screen[:, :2] / screen[:, 2:]
    distance = np.linalg.norm(xy[None] - rotated.landmarks468[:, None, :2], axis=2).min(1)
    assert distance.max() < 3
    assert np.abs(rotated.landmarks468[:, 2]).max() < 200


def test_light_turned_with_the_head_keeps_the_shading(head):
    upright = head.rotated(upright=True)
    rotated = upright.rotated(yaw=35)
    turn = rotation_from_axis_angle(torch.from_numpy(rotated.rotation)[None])
    light = rotated_lighting(torch.from_numpy(head.lighting)[None], turn)[0].numpy()
    assert np.allclose(rotated.relit(light).shading, upright.shading, atol=1e-4)
    assert np.allclose(upright.rotated(yaw=35, light_follows=True).lighting, light, atol=1e-4)
    assert np.allclose(head.rotated(35, 10, upright=True, light_follows=True).vertex_rgb, head.vertex_rgb, atol=1e-3)
    assert np.abs(rotated.shading - upright.shading).max() > 0.1


def test_no_unit_no_change(head):
    assert head.with_expression({}) is head
    assert head.with_expression({"jawOpen": 0.0, "mouthPucker": 0}) is head


def test_units_are_added_to_the_face_s_own(head):
    index = head.expression_names.index("browInnerUp")
    more = head.with_expression({"browInnerUp": 0.5})
    assert more.expression[index] == pytest.approx(head.expression[index] + 0.5)
    rest = head.with_expression({"browInnerUp": 0.5}, neutral=True)
    assert rest.expression[index] == pytest.approx(0.5)
    assert np.count_nonzero(rest.expression) == 1


def test_an_expression_is_what_the_model_makes_of_it(head):
    """The same person built with the expression from the start: shape, normals, landmarks and pixels agree."""
    changed = head.with_expression({"jawOpen": 0.6, "mouthSmileLeft": 0.4}, neutral=True)
    from coarse.coefficients import Coefficients
    from coarse.face_model import load_face_model
    from coarse.morphable import MorphableModel

    model = load_face_model()
    names = ("identity", "expression", "albedo", "rotation", "translation", "lighting", "skin_tone")
    face = MorphableModel(model)(Coefficients(**{n: torch.from_numpy(getattr(changed, n))[None] for n in names}))
    assert np.allclose(changed.mesh.vertices, face.verts[0].numpy(), atol=1e-3)
    assert np.allclose(changed.vertices_cam, face.verts_cam[0].numpy(), atol=1e-2)
    assert np.allclose(changed.shading, face.shading[0].clamp(min=0.08).numpy(), atol=1e-3)
    assert np.allclose(changed.mesh.landmarks468, model.landmarks468(changed.mesh.vertices), atol=1e-3)
    chin = changed.landmarks468[152, 1] - head.with_expression({}, neutral=True).landmarks468[152, 1]
    assert chin > 5


def test_a_new_light_survives_a_new_expression(head):
    one = head.relit("left").with_expression({"jawOpen": 0.5}).rotated(yaw=20)
    other = head.rotated(yaw=20).with_expression({"jawOpen": 0.5}).relit("left")
    assert np.allclose(one.vertex_rgb, other.vertex_rgb, atol=1e-3)
    assert np.allclose(one.vertices_cam, other.vertices_cam, atol=1e-3)


def test_nothing_is_written_into_the_face(head):
    before = {field.name: np.copy(getattr(head, field.name)) for field in fields(head) if field.name != "mesh"}
    head.rotated(30).relit("top").with_expression({"jawOpen": 1})
    for name, value in before.items():
        if isinstance(getattr(head, name), np.ndarray):
            assert np.array_equal(getattr(head, name), value), name


def test_errors_name_what_is_wrong(head):
    with pytest.raises(ExpressionError, match=r"'jawopn' \(near: jawOpen.*is no blendshape"):
        head.with_expression({"jawopn": 1})
    with pytest.raises(ExpressionError, match=r"'smile'.*mouthSmile.*'xyz' are no blendshapes"):
        head.with_expression({"smile": 1, "xyz": 1})
    with pytest.raises(ValueError, match="finite"):
        head.with_expression({"jawOpen": float("nan")})
    with pytest.raises(ValueError, match="degrees"):
        head.rotated(float("inf"))
    with pytest.raises(ExpressionError, match="face model ball.*run `gcnface refine`"):
        make_reconstruction().with_expression({"jawOpen": 1})
    with pytest.raises(ExpressionError, match="not known"):
        replace(head, expression_names=()).with_expression({"jawOpen": 1})


@pytest.fixture(scope="module")
def photographed():
    """A head whose light holds a highlight and a cast shadow that its nine harmonics do not."""
    face = make_head()
    factor = np.ones((len(face.visible), 1), np.float32)
    factor[:4000], factor[4000:8000] = 1.6, 0.5
    return replace(face, vertex_light=face.shading * factor)


def test_cast_light_sticks_to_a_turned_head(photographed, head):
    for change in (
        lambda face: face,
        lambda face: face.rotated(yaw=30, pitch=10),
        lambda face: face.with_expression({"mouthSmileLeft": 0.3}).rotated(upright=True),
    ):
        ratio = drawn_shading(change(photographed)) / drawn_shading(change(head))
        for part, factor in ((slice(4000), 1.6), (slice(4000, 8000), 0.5), (slice(8000, None), 1)):
            assert np.allclose(ratio[part], factor, atol=1e-3)
    rotated = photographed.rotated(yaw=30)
    expected = (rotated.vertex_albedo * rotated.vertex_light).clip(0, 1)
    assert np.allclose(linear(rotated.vertex_rgb), expected, atol=1e-4)


def test_cast_light_goes_when_the_face_is_relit(photographed, head):
    relit = photographed.relit("top")
    assert relit.vertex_light is None
    assert np.allclose(relit.vertex_rgb, head.relit("top").vertex_rgb, atol=1e-6)
    assert np.array_equal(drawn_shading(relit), relit.shading)
    assert np.abs(photographed.draw(64).rgb - head.draw(64).rgb).max() > 0.05
    assert np.array_equal(relit.draw(64).rgb, head.relit("top").draw(64).rgb)


def test_a_neutral_face(head):
    face = head.neutral()
    assert set(face.blendshapes.values()) == {0.0}
    assert np.array_equal(face.mesh.vertices, head.with_expression({}, neutral=True).mesh.vertices)

"""Dense alignment of exact position maps: the face model in known poses, drawn into its own chart."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from coarse.dense_alignment import DenseReader, pose_weights
from coarse.face_model import load_face_model
from coarse.morphable import VIEW_FROM_CAM, cam_from_model
from coarse.position_map import WINDOW_PX
from render.camera import pixel_camera
from render.rasterize import rasterize
from render.rotation import axis_angle_from_rotation, rotation_from_euler
from tests.coarse.variants import mirrored_map
from tests.tolerances import STORED

SCALE, PLACE = 1.1, (125.0, 131.0, 4.0)
POSES = ((0, 0, 0), (25, -10, 15), (-60, 8, -35), (80, 0, 0))


@pytest.fixture(scope="module")
def model():
    return load_face_model()


@pytest.fixture(scope="module")
def reader(model):
    return DenseReader(model)


def rotation(yaw=0, pitch=0, roll=0):
    return rotation_from_euler(*(torch.tensor([math.radians(angle)]) for angle in (yaw, pitch, roll)))


def posed(points, turn, scale=SCALE, place=PLACE):
    """(1, V, 3) window px of points in model mm."""
    cam = torch.tensor(VIEW_FROM_CAM) * (torch.as_tensor(points) @ turn[0].T)
    return (scale * cam + torch.tensor(place))[None]


def exact_map(reader, model, *angles, **similarity):
    return reader.layout.encode(posed(model.mean, rotation(*angles), **similarity))


@pytest.fixture(scope="module")
def rotated(reader, model):
    """The alignment of all poses, and their maps."""
    maps = torch.cat([exact_map(reader, model, *angles) for angles in POSES])
    return reader(maps)


def test_pose_is_recovered(rotated):
    truth = torch.cat([rotation(*angles) for angles in POSES])
    pose = rotated.pose
    # 1e-3 rad of rotation, 1e-3 of scale, a twentieth of a pixel
    torch.testing.assert_close(pose.rotation, axis_angle_from_rotation(truth), **STORED)
    torch.testing.assert_close(pose.euler, torch.deg2rad(torch.tensor(POSES, dtype=torch.float32)), **STORED)
    torch.testing.assert_close(pose.scale, torch.full((4,), SCALE), atol=0, rtol=1e-3)
    torch.testing.assert_close(pose.translation, torch.tensor(PLACE).expand(4, 3), atol=0.05, rtol=0)
    assert (pose.residual < 0.1).all()


@pytest.mark.parametrize(("scale", "place"), [(0.6, (90.0, 140.0, 0.0)), (1.4, (150.0, 100.0, -20.0))])
def test_scale_and_translation(reader, model, scale, place):
    pose = reader(exact_map(reader, model, 20, 5, 10, scale=scale, place=place)).pose
    assert pose.scale.item() == pytest.approx(scale, rel=1e-3)
    np.testing.assert_allclose(pose.translation[0], place, atol=0.05)


def test_landmarks_are_the_points_of_the_surface(reader, model, rotated):
    for row, angles in enumerate(POSES):
        truth = posed(model.landmarks468(model.mean), rotation(*angles))[0]
        assert (rotated.landmarks468[row] - truth).norm(dim=1).max() < 0.1


def test_positive_yaw_turns_the_nose_to_the_viewers_right(reader, model):
    tip, ears = 4, (234, 454)
    aligned = reader(exact_map(reader, model, 30, 0, 0))
    points = aligned.landmarks468[0]
    assert points[tip, 0] > points[list(ears), 0].mean() + 20
    assert aligned.pose.euler[0, 0] > 0
    down = reader(exact_map(reader, model, 0, 20, 0))
    level = reader(exact_map(reader, model, 0, 0, 0))
    assert down.landmarks468[0, tip, 1] > level.landmarks468[0, tip, 1] + 10
    assert down.pose.euler[0, 1] > 0


def test_the_pose_puts_the_mean_face_where_the_map_has_it(reader, rotated):
    cam = reader.mean @ cam_from_model(rotated.pose.rotation).mT
    drawn = rotated.pose.scale[:, None, None] * cam + rotated.pose.translation[:, None]
    distance = (drawn[..., :2] - rotated.vertices[..., :2]).norm(dim=-1)[:, reader.weight > 0]
    assert distance.max() < 0.6
    assert distance.mean() < 0.05


def test_the_pose_undone_leaves_the_mean_face(reader, rotated):
    pose = rotated.pose
    offset = (rotated.vertices - pose.translation[:, None]) / pose.scale[:, None, None]
    upright = offset @ cam_from_model(pose.rotation)
    assert (upright - reader.mean).norm(dim=-1)[:, reader.weight > 0].max() < 0.6


def test_mirrored_photo_mirrors_landmarks_and_yaw(reader, rotated, model):
    mirrored = reader(mirrored_map(rotated.position_map))
    pairs = _mirror_of_landmarks(model)
    other = rotated.landmarks468[:, pairs] * torch.tensor([-1.0, 1.0, 1.0]) + torch.tensor([float(WINDOW_PX), 0, 0])
    assert (mirrored.landmarks468 - other).norm(dim=-1).max() < 0.3  # landmarks lie on the surface to 0.1 mm mirrored
    sign = torch.tensor([-1.0, 1.0, -1.0])
    torch.testing.assert_close(mirrored.pose.euler, rotated.pose.euler * sign, **STORED)
    assert (mirrored.landmarks468_visible == rotated.landmarks468_visible[:, pairs]).float().mean() > 0.97


def _mirror_of_landmarks(model):
    """For each of the 468 points the one that lies at its mirror image."""
    points = model.landmarks468(model.mean)
    distance = np.linalg.norm(points[:, None] * (-1, 1, 1) - points[None], axis=2)
    pairs = distance.argmin(1)
    assert distance.min(1).max() < 0.2
    return torch.from_numpy(pairs)


NEAR_EYE, FAR_EYE = (33, 160, 158, 133, 153, 144), (263, 387, 385, 362, 380, 373)
"""Of a face turned to the viewer's right: the subject's right eye and the left one, from the outer corner round."""


def test_far_eye_hides_behind_the_nose(reader, model):
    def seen(yaw):
        points = reader(exact_map(reader, model, yaw, 0, 0)).landmarks468_visible[0]
        return points[list(NEAR_EYE)], points[list(FAR_EYE)]

    near, far = seen(60)
    assert near.all()
    assert not far[3]  # the bridge of the nose stands before the inner corner, the outer one shows past it
    near, far = seen(80)
    assert near.float().mean() > 0.8
    assert not far.any()
    assert all(eye.all() for eye in seen(0))


def test_visible_points_are_those_in_front_of_the_true_surface(reader, model):
    turn = rotation(60, 0, 0)
    aligned = reader(reader.layout.encode(posed(model.mean, turn)))
    head, lift = posed(model.mean, turn), torch.tensor([60.0, 0.0, 500.0])
    chart = torch.from_numpy(model.faces[model.chart_faces].astype(np.int64))
    drawn = rasterize(head + lift, chart, pixel_camera((WINDOW_PX, WINDOW_PX + 120)))
    points = head[0, reader.layout.vertex_index] + lift
    nearest = drawn.depth[0][points[:, 1].long().clamp(0, 255), points[:, 0].long().clamp(0, 375)]
    sure_hidden, sure_seen = (nearest > 0) & (points[:, 2] > nearest + 8), points[:, 2] < nearest + 0.3
    assert sure_hidden.float().mean() > 0.2
    assert aligned.visible[0][sure_seen].float().mean() > 0.96  # but for the outline, where it is a matter of a pixel
    assert aligned.visible[0][sure_hidden].float().mean() < 0.02


def test_a_normal_alone_would_not_hide_what_the_nose_hides(reader, model):
    aligned = reader(exact_map(reader, model, 45, 0, 0))
    closed = reader.closed.close(aligned.vertices)[0]
    corner = closed[reader.faces]
    front = torch.linalg.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])[:, 2] < 0
    facing = torch.zeros(len(closed), dtype=torch.bool)
    facing[reader.faces[front]] = True
    facing = facing[: len(reader.mean)]
    hidden = facing & ~aligned.visible[0]
    cheek = (reader.mean - torch.tensor([22.0, -20.0, 95.0])).norm(dim=1) < 15  # beside the nose, on the far side
    assert hidden[cheek].any()
    assert not (aligned.visible[0] & ~facing).any()


def test_hidden_or_not_does_not_depend_on_the_frame(reader, model):
    inside = reader(exact_map(reader, model, 30, 0, 0)).visible
    shifted = reader(exact_map(reader, model, 30, 0, 0, place=(240.0, 131.0, 4.0))).visible
    assert (inside != shifted).float().mean() < 0.02


def test_depth_is_the_rasterised_surface(reader, model, rotated):
    for row, angles in enumerate(POSES):
        truth = posed(model.mean, rotation(*angles))
        lift = torch.tensor([0.0, 0.0, 500.0])
        faces = torch.from_numpy(model.faces[model.chart_faces].astype(np.int64))
        drawn = rasterize(truth + lift, faces, pixel_camera((WINDOW_PX, WINDOW_PX)))
        found, mask = rotated.depth[row], drawn.mask[0]
        both = mask & found.isfinite()
        assert (found.isnan() & mask).float().sum() < 0.01 * mask.sum()
        difference = (found - (drawn.depth[0] - 500))[both].abs()
        assert difference.median() < 0.1
        assert difference.quantile(0.97) < 0.5  # the rest: rims of eyes and mouth, and the outline


def test_depth_has_no_holes_at_eyes_and_mouth(rotated, reader, model):
    xy = posed(model.mean[model.region_mask("eyeballs")], rotation())[0]
    front = xy[xy[:, 2] < xy[:, 2].median()]
    column, line = front[:, 0].long(), front[:, 1].long()
    assert rotated.depth[0][line, column].isfinite().all()


def test_depth_of_nothing_is_nan(rotated):
    assert rotated.depth[:, -3:, :3].isnan().all()
    assert rotated.depth[0].nan_to_num(1e9).amin() < -100 * SCALE  # the tip of the nose stands 125 mm out


def test_gradients_reach_the_map(reader, model):
    maps = exact_map(reader, model, 20, 0, 0).requires_grad_()
    aligned = reader(maps)
    for part in (aligned.pose.rotation, aligned.pose.scale, aligned.landmarks468, aligned.depth.nan_to_num()):
        gradient = torch.autograd.grad(part.sum(), maps, retain_graph=True)[0]
        assert gradient.isfinite().all()
        assert gradient.abs().sum() > 0


def test_a_batch_is_each_alone(reader, rotated):
    alone = reader(rotated.position_map[2:3])
    for field in dataclasses.fields(alone):
        if field.name != "pose":
            one, many = getattr(alone, field.name)[0], getattr(rotated, field.name)[2]
            torch.testing.assert_close(one, many, equal_nan=True)
    torch.testing.assert_close(alone.pose.rotation[0], rotated.pose.rotation[2])


def test_an_open_jaw_hardly_nods_the_head(reader, model):
    jaw = model.expression_basis[..., model.expression_names.index("jawOpen")]
    maps = reader.layout.encode(posed(model.mean + jaw, rotation()))
    pitch = reader(maps).pose.euler[0, 1].abs()
    assert pitch < math.radians(2)
    plain = reader.weight.clone()
    reader.weight.fill_(1.0)
    try:
        assert reader(maps).pose.euler[0, 1].abs() > 2 * pitch
    finally:
        reader.weight.copy_(plain)


def test_pose_weights_are_areas_above_the_mouth(model, reader):
    faces = reader.layout.faces.numpy()
    mean = reader.mean.numpy()
    landmarks = model.landmarks468(model.mean)
    low = landmarks.copy()
    low[[2, 13], 1] = -1000, -1001  # lips below everything: plain areas
    area = pose_weights(mean, faces, low)
    corner = mean[faces].astype(np.float64)
    total = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1).sum() / 2
    assert area.sum() == pytest.approx(total, rel=1e-6)
    weight = pose_weights(mean, faces, landmarks)
    above, below = mean[:, 1] > landmarks[2, 1], mean[:, 1] < landmarks[13, 1]
    np.testing.assert_allclose(weight[above], area[above])
    np.testing.assert_allclose(weight[below], 0.05 * area[below])


def test_texels_are_visible_where_their_vertices_are(reader, rotated):
    texels = reader.texels(128)
    seen = reader.texels_visible(rotated.vertices, texels)
    assert seen.shape == (4, 128, 128)
    assert not seen[:, ~texels.mask].any()
    share = [(row & texels.mask).float().sum() / texels.mask.sum() for row in seen]
    assert share[0] > 0.9
    assert 0.3 < share[3] < 0.6
    # at a yaw to the viewer's right the subject's right half (u < 1/2) is shown
    assert seen[3][:, :64].float().mean() > 0.6 > 0.2 > seen[3][:, 64:].float().mean()

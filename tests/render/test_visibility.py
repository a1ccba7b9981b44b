import pytest
import torch

from render.camera import KINDS, Camera, perspective_camera, pixel_camera
from render.normals import vertex_normals
from render.rasterize import rasterize
from render.visibility import depth_buffer, point_visibility, vertex_visibility
from tests.render.meshes import in_camera, random_triangles, sphere

HW = (224, 224)
CAMERA = perspective_camera(1015.0, (112.0, 112.0), HW)


def rotated_to_camera(verts_cam, center):
    """n.v of a sphere's points: positive where they face the camera at the origin."""
    normal = verts_cam - torch.tensor(center)
    return -(normal * verts_cam).sum(-1) / (normal.norm(dim=-1) * verts_cam.norm(dim=-1))


@pytest.mark.parametrize("supersample", [1, 2])
def test_sphere_closed_form(supersample):
    verts, faces = sphere(120, 200)
    cam = in_camera(verts, 80.0, (3.0, -2.0, 1000.0))
    seen = vertex_visibility(cam, faces, CAMERA, supersample=supersample)
    facing = rotated_to_camera(cam, (3.0, -2.0, 1000.0))
    wrong = seen != (facing > 0)
    assert (facing[wrong].abs() < 0.15).all()  # only at the limb, within about a pixel
    assert wrong.float().mean() < 0.02


def test_one_sphere_behind_another():
    verts, faces = sphere(120, 200)
    near, far = (0.0, 0.0, 950.0), (25.0, 10.0, 1050.0)
    cam = torch.cat([in_camera(verts, 40.0, near), in_camera(verts, 60.0, far)], 1)
    seen = vertex_visibility(cam, torch.cat([faces, faces + len(verts)]), CAMERA)[0]
    facing = torch.cat(
        [rotated_to_camera(cam[:, : len(verts)], near), rotated_to_camera(cam[:, len(verts) :], far)], 1
    )[0]
    ray = cam[0] / cam[0].norm(dim=-1, keepdim=True)
    along = ray @ torch.tensor(near)
    blocked = (torch.tensor(near).norm() ** 2 - along**2).sqrt() < 40.0
    blocked[: len(verts)] = False
    truth = (facing > 0) & ~blocked
    assert (seen != truth).float().mean() < 0.02
    sure = facing.abs() > 0.15
    assert (seen != truth)[sure].float().mean() < 0.001
    assert blocked[sure & (facing > 0)].sum() > 1000
    naive = facing > 0  # what a normal alone would say
    assert (naive != truth)[sure].float().mean() > 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_depth_buffer_is_the_rasterised_depth(kind):
    verts, faces = random_triangles(40, (20, 28), 0)
    camera = Camera(torch.eye(3)[None], (20, 28), kind)
    fragments = rasterize(verts, faces, camera)
    depth = depth_buffer(verts, faces, camera)
    assert torch.equal(depth.isfinite(), fragments.mask)
    torch.testing.assert_close(depth[fragments.mask], fragments.depth[fragments.mask])


def test_outside_the_frame_is_not_seen():
    verts, faces = sphere(60, 80)
    cam = in_camera(verts, 80.0, (110.0, 0.0, 1000.0))
    seen = vertex_visibility(cam, faces, CAMERA)
    outside = CAMERA.project(cam)[..., 0] >= HW[1]
    assert outside.any()
    assert not seen[outside].any()
    assert seen.any()


def test_behind_the_camera_is_not_seen():
    verts, faces = sphere(20, 30)
    assert not vertex_visibility(in_camera(verts, 80.0, (0.0, 0.0, -1000.0)), faces, CAMERA).any()


def test_scale_of_the_mesh_does_not_matter():
    verts, faces = sphere(60, 80)
    cam = in_camera(verts, 80.0, (0.0, 0.0, 1000.0))
    small, large = (vertex_visibility(cam * scale, faces, CAMERA) for scale in (0.01, 100.0))
    assert (small != large).float().mean() < 1e-3


def test_batch_is_each_alone():
    verts, faces = sphere(40, 60)
    cams = torch.cat([in_camera(verts, 80.0, (x, 0.0, 1000.0)) for x in (-30.0, 40.0)])
    together = vertex_visibility(cams, faces, CAMERA)
    for row in range(2):
        assert torch.equal(together[row], vertex_visibility(cams[row][None], faces, CAMERA)[0])


def test_orthographic():
    verts, faces = sphere(60, 80)
    cam = in_camera(verts, 80.0, (0.0, 0.0, 1000.0))
    seen = vertex_visibility(cam + torch.tensor([112.0, 112.0, 0.0]), faces, pixel_camera(HW))
    facing = -vertex_normals(cam, faces)[..., 2]
    assert (facing[seen != (facing > 0)].abs() < 0.15).all()


@pytest.mark.parametrize("supersample", [1, 3])
def test_points_before_on_and_behind_a_slope(supersample):
    plane = torch.tensor([[[-50.0, -50, 900], [300, -50, 1200], [-50, 300, 1500], [300, 300, 1800]]])
    faces = torch.tensor([[0, 2, 1], [1, 2, 3]])
    depth = depth_buffer(plane, faces, pixel_camera((64, 64)), supersample=supersample)
    xy = torch.rand(1, 500, 2, generator=torch.Generator().manual_seed(0)) * 64
    on = 900 + (xy[..., 0] + 50) * 300 / 350 + (xy[..., 1] + 50) * 600 / 350
    for shift, expected in ((-5.0, True), (0.0, True), (8.0, False)):
        points = torch.cat([xy, (on + shift)[..., None]], -1)
        seen = point_visibility(points, depth, (64, 64), tolerance_mm=1.0)
        assert (seen == expected).all()


def test_points_before_nothing_are_seen():
    depth = torch.full((1, 8, 8), torch.inf)
    points = torch.tensor([[[4.0, 4.0, 10.0], [9.0, 4.0, 10.0], [4.0, 4.0, -1.0], [float("nan"), 4.0, 1.0]]])
    assert point_visibility(points, depth, (8, 8), tolerance_mm=1.0).tolist() == [[True, False, False, False]]

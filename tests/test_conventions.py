"""One test a line of docs/conventions.md; each shows what the wrong reading would give."""

import math
from functools import partial

import torch

from render.baking import bake, texel_map
from render.camera import Camera, perspective_camera
from render.color import linear_from_srgb, srgb_from_linear
from render.lighting import ambient_lighting, lighting_from_deca, lighting_from_deep3d_gamma, sh_basis, shade
from render.ndc import ndc_from_screen
from render.normals import vertex_normals
from render.rasterize import rasterize, rasterize_screen
from render.rotation import rotation_from_axis_angle, rotation_from_euler
from render.sampling import sample_image
from tests.tolerances import CHAINS, ROUNDING, STORED

VIEW_FROM_CAM = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
TRIANGLE = torch.tensor([[0, 1, 2]])
rasterize_flat = partial(rasterize_screen, perspective_correct=False)


def test_float32_in_float32_out():
    screen = torch.tensor([[[0.0, 0, 1], [8, 0, 2], [0, 8, 4]]])
    fragments = rasterize_flat(screen, TRIANGLE, (8, 8))
    assert fragments.bary.dtype == fragments.depth.dtype == torch.float32
    assert fragments.pix_to_face.dtype == torch.int64
    assert shade(screen, ambient_lighting()).dtype == torch.float32


def test_arguments_are_left_alone():
    points = torch.rand(1, 5, 3) + 1
    kept = points.clone()
    camera = perspective_camera(10.0, (4, 4), (8, 8))
    rasterize(points, TRIANGLE, camera)
    shade(vertex_normals(points, TRIANGLE), ambient_lighting())
    assert torch.equal(points, kept)


def test_model_space_is_right_handed():
    x, y, z = torch.eye(3)
    assert torch.equal(torch.linalg.cross(x, y), z)  # a left-handed reading would give -z, into the face


def test_camera_space_is_model_space_turned_about_x():
    nose_model = torch.tensor([0.0, 0.0, 100.0])
    nose_cam = VIEW_FROM_CAM @ nose_model + torch.tensor([0.0, 0.0, 1000.0])
    assert nose_cam[2] == 900  # the nose is nearer than the ears
    assert torch.linalg.det(VIEW_FROM_CAM) == 1  # a mere flip of y would turn faces inside out
    screen = perspective_camera(1015.0, (112, 112), (224, 224)).project(
        (VIEW_FROM_CAM @ torch.tensor([30.0, 40.0, 0.0]) + torch.tensor([0.0, 0.0, 1000.0]))[None, None]
    )
    assert screen[0, 0, 0] > 112  # the subject's left eye is at the viewer's right
    assert screen[0, 0, 1] < 112  # and up is up


def test_matrices_chain():
    cam_from_model = VIEW_FROM_CAM @ rotation_from_axis_angle(torch.tensor([[0.0, 0.5, 0.0]]))[0]
    camera = perspective_camera(100.0, (8, 8), (16, 16))
    point = torch.tensor([1.0, 2.0, -50.0])
    chained = camera.px_from_cam[0] @ cam_from_model @ point
    projected = camera.project((cam_from_model @ point)[None, None])[0, 0]
    torch.testing.assert_close(chained[:2] / chained[2], projected[:2])


def test_rotation_signs():
    nose, zero, some = torch.tensor([0.0, 0.0, 1.0]), torch.zeros(1), torch.tensor([0.3])
    assert (rotation_from_euler(some, zero, zero)[0] @ nose)[0] > 0
    assert (rotation_from_euler(zero, some, zero)[0] @ nose)[1] < 0
    assert (rotation_from_euler(zero, zero, some)[0] @ torch.tensor([1.0, 0, 0]))[1] > 0
    quarter = rotation_from_axis_angle(torch.tensor([[0.0, 0.0, math.pi / 2]]))[0]  # rad, not degrees
    torch.testing.assert_close(quarter @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), **ROUNDING)


def test_normals_point_out():
    triangle = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]])  # counter-clockwise for the viewer at +z
    assert (vertex_normals(triangle, TRIANGLE)[0, :, 2] == 1).all()
    assert (vertex_normals(triangle, TRIANGLE.flip(1))[0, :, 2] == -1).all()


def test_pixel_centres():
    image = torch.zeros(1, 1, 4, 6)
    image[0, 0, 1, 2] = 1
    assert sample_image(image, torch.tensor([[[2.5, 1.5]]])) == 1
    assert sample_image(image, torch.tensor([[[2.0, 1.0]]])) == 0.25  # centres at integers would give 1
    square = torch.tensor([[[2.0, 1, 1], [3, 1, 1], [2, 2, 1], [3, 2, 1]]])
    mask = rasterize_flat(square, torch.tensor([[0, 1, 2], [1, 3, 2], [0, 1, 3]]), (4, 6)).mask
    assert mask.nonzero().tolist() in ([], [[0, 1, 2]])
    whole = rasterize_flat(square * torch.tensor([1.0, 1, 1]) + 0.01, torch.tensor([[0, 1, 2], [1, 3, 2]]), (4, 6)).mask
    assert whole.nonzero().tolist() == [[0, 1, 2]]  # (batch, row y, column x)


def test_crop_camera():
    screen = perspective_camera(1015.0, (112.0, 112.0), (224, 224)).project(torch.tensor([[[1.0, 0.0, 1000.0]]]))
    torch.testing.assert_close(screen[0, 0], torch.tensor([112 + 1.015, 112.0, 1000.0]))


def test_scaled_orthographic():
    camera = Camera(torch.tensor([[[2.0, 0, 10], [0, 2, 20], [0, 0, 1]]]), (40, 40), "scaled_orthographic")
    near, far = camera.project(torch.tensor([[[3.0, 4.0, 5.0], [3.0, 4.0, 5000.0]]]))[0]
    assert near.tolist() == [16.0, 28.0, 5.0]
    assert far.tolist() == [16.0, 28.0, 5000.0]  # a pinhole would draw it nearer the centre


def test_crop_moves_the_camera():
    crop_from_photo = torch.tensor([[0.5, 0.0, -10.0], [0.0, 0.5, -20.0], [0.0, 0.0, 1.0]])
    photo = perspective_camera(2000.0, (500.0, 400.0), (800, 1000))
    point = torch.tensor([[[30.0, -20.0, 900.0]]])
    on_photo = photo.project(point)[0, 0, :2]
    on_crop = photo.transformed(crop_from_photo, (224, 224)).project(point)[0, 0, :2]
    torch.testing.assert_close(on_crop, on_photo * 0.5 - torch.tensor([10.0, 20.0]))


def test_fragments():
    near, far = torch.tensor([[0.0, 0, 1], [9, 0, 1], [0, 9, 1]]), torch.tensor([[0.0, 0, 2], [9, 0, 2], [0, 9, 2]])
    fragments = rasterize_flat(torch.cat([far, near, near])[None], torch.arange(9).view(3, 3), (10, 10))
    assert fragments.pix_to_face[0, 0, 0] == 1  # nearer than 0, before 2
    assert fragments.pix_to_face[0, 9, 9] == fragments.depth[0, 9, 9] == fragments.bary[0, 9, 9, 0] == -1
    rotated = rasterize_flat(near[None], TRIANGLE.flip(1), (10, 10))
    assert rotated.mask[0, 0, 0]  # the back is seen as well
    diagonal = torch.tensor([[[0.0, 0, 1], [8, 0, 1], [0, 8, 1], [8, 8, 1]]])
    both = rasterize_flat(diagonal, torch.tensor([[0, 1, 2], [2, 1, 3]]), (8, 8))
    assert not both.mask[0, 3, 4]  # centre (4.5, 3.5) lies on the shared edge


def test_perspective_weights():
    screen, hw = torch.tensor([[[0.0, 0, 1], [100, 0, 3], [0, 100, 1]]]), (4, 100)
    verts_cam = torch.cat([screen[..., :2] * screen[..., 2:], screen[..., 2:]], -1)
    right = rasterize(verts_cam, TRIANGLE, perspective_camera(1.0, (0.0, 0.0), hw)).depth[0, 0, 49]
    wrong = rasterize_screen(screen, TRIANGLE, hw, perspective_correct=False).depth[0, 0, 49]
    torch.testing.assert_close(right, torch.tensor(1 / (1 - 0.495 * 2 / 3)), **CHAINS)
    torch.testing.assert_close(wrong, torch.tensor(1 + 0.495 * 2), **CHAINS)


def test_device_coordinates():
    ndc = ndc_from_screen(torch.tensor([0.0, 0.0, 5.0]), (48, 80))
    torch.testing.assert_close(ndc, torch.tensor([80 / 48, 1.0, 5.0]))  # top-left is (+, +)


def test_shading_is_linear():
    albedo, shading = torch.tensor([0.5]), torch.tensor([0.5])
    right = srgb_from_linear(linear_from_srgb(albedo) * shading)
    assert abs(right.item() - 0.25) > 0.1  # multiplying encoded values would give 0.25
    torch.testing.assert_close(right, torch.tensor([0.3615]), **STORED)


def test_harmonics_order():
    n = torch.tensor([0.48, 0.6, 0.64])
    x, y, z = n
    basis = sh_basis(n)
    shape = torch.stack([x**0, y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y])
    constant = torch.tensor([0.282095, *[0.488603] * 3, 1.092548, 1.092548, 0.315392, 1.092548, 0.546274])
    torch.testing.assert_close(basis, constant * shape, **ROUNDING)


def test_light_from_the_viewer():
    lighting = ambient_lighting().clone()
    lighting[:, 2] = 0.5  # Y10, z
    towards_camera = torch.tensor([[[0.0, 0.0, -1.0]]])  # camera axes: z forward
    assert (shade(towards_camera @ VIEW_FROM_CAM, lighting) > 1).all()
    assert (shade(towards_camera, lighting) < 1).all()  # camera axes taken for view axes: lit from behind


def test_uniform_light_is_one():
    lighting = torch.zeros(1, 9, 3)
    lighting[:, 0] = math.sqrt(4 * math.pi) / math.pi
    torch.testing.assert_close(shade(torch.eye(3)[None], lighting), torch.ones(1, 3, 3))


def test_published_lights_differ():
    n = torch.tensor([[[0.0, 0.6, 0.8]]])
    light = torch.rand(1, 9, 3, generator=torch.Generator().manual_seed(0))
    deep3d = lighting_from_deep3d_gamma(light.mT.reshape(1, 27))
    assert (shade(n, deep3d) - shade(n, light)).abs().min() > 0.05  # read as ours
    assert (shade(n, lighting_from_deca(light)) - shade(n, light)).abs().min() > 0.05
    assert (deep3d[0, 0] - light[0, 0] - 0.8).abs().max() < 1e-6


def test_texture_row_zero_is_v_one():
    uv = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    faces = torch.tensor([[0, 1, 2], [2, 1, 3]])
    baked = bake(uv, faces, texel_map(uv, faces, 4))
    torch.testing.assert_close(baked[0, 0], torch.tensor([0.125, 0.875]))  # half a texel from the corner, not on it

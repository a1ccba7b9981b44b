import pytest
import torch

from render.camera import Camera, perspective_camera, pixel_camera


def test_perspective_closed_form():
    camera = perspective_camera(1015.0, (112.0, 100.0), (224, 200))
    point = torch.tensor([[[10.0, -20.0, 1000.0]]])
    expected = torch.tensor([[[112 + 1015 * 10 / 1000, 100 - 1015 * 20 / 1000, 1000.0]]])
    torch.testing.assert_close(camera.project(point), expected)


def scaled_orthographic_camera(scale, center, hw, batch=1):
    matrix = torch.tensor([[scale, 0, center[0]], [0, scale, center[1]], [0, 0, 1.0]])
    return Camera(matrix.expand(batch, 3, 3), hw, "scaled_orthographic")


def test_pixels_stay_where_they_are():
    points = 100 * torch.randn(2, 9, 3)
    camera = pixel_camera((20, 30))
    assert torch.equal(camera.project(points), points)
    assert not camera.is_perspective


def test_orthographic_closed_form_ignores_depth():
    camera = scaled_orthographic_camera(0.5, (112.0, 100.0), (224, 200))
    points = torch.tensor([[[10.0, -20.0, 50.0], [10.0, -20.0, 900.0]]])
    torch.testing.assert_close(camera.project(points)[0, :, :2], torch.tensor([[117.0, 90.0]] * 2))
    torch.testing.assert_close(camera.project(points)[0, :, 2], points[0, :, 2])


@pytest.mark.parametrize("make", [perspective_camera, scaled_orthographic_camera])
def test_transformed_is_the_map_of_the_image(make):
    camera = make(2.0, (30.0, 40.0), (80, 60), batch=2)
    dst_from_px = torch.tensor([[0.8, -0.6, 5.0], [0.6, 0.8, -3.0], [0.0, 0.0, 1.0]])
    points = torch.rand(2, 7, 3) + 1
    before, after = camera.project(points), camera.transformed(dst_from_px, (50, 50)).project(points)
    torch.testing.assert_close(after[..., :2], before[..., :2] @ dst_from_px[:2, :2].T + dst_from_px[:2, 2])
    torch.testing.assert_close(after[..., 2], before[..., 2])


def test_transformed_refuses_a_projective_map():
    matrix = torch.eye(3)
    matrix[2, 0] = 0.1
    with pytest.raises(ValueError, match="not affine"):
        perspective_camera(1.0, (0, 0), (4, 4)).transformed(matrix, (4, 4))


def test_behind_the_camera_stays_finite_with_its_depth():
    points = torch.tensor([[[1.0, 1.0, 0.0], [1.0, 1.0, -5.0]]], requires_grad=True)
    screen = perspective_camera(100.0, (8, 8), (16, 16)).project(points)
    assert torch.isfinite(screen).all()
    assert (screen[..., 2] <= 0).all()
    screen[..., 2].sum().backward()
    assert torch.isfinite(points.grad).all()


@pytest.mark.parametrize("make", [perspective_camera, scaled_orthographic_camera])
def test_project_gradcheck(make):
    camera = make(20.0, (8.0, 8.0), (16, 16))
    points = (torch.rand(1, 4, 3, dtype=torch.float64) + 1).requires_grad_()
    assert torch.autograd.gradcheck(camera.project, points)


def test_unknown_kind():
    with pytest.raises(ValueError, match="kind is 'fisheye'"):
        Camera(torch.eye(3)[None], (4, 4), "fisheye")


def test_focal_of_a_batch():
    camera = perspective_camera(torch.tensor([100.0, 200.0]), (8, 8), (16, 16))
    assert camera.px_from_cam.shape == (2, 3, 3)
    assert camera.px_from_cam[:, 0, 0].tolist() == [100.0, 200.0]

import torch

from render.normals import normal_derivative, vertex_normals
from render.rotation import rotation_from_axis_angle
from tests.render.meshes import sphere


def test_sphere_normals_are_its_points():
    verts, faces = sphere(48, 80)
    assert (vertex_normals(verts[None], faces)[0] * verts).sum(-1).min() > 0.999


def test_counter_clockwise_points_out():
    triangle = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]])
    assert vertex_normals(triangle, torch.tensor([[0, 1, 2]]))[0].tolist() == [[0, 0, 1]] * 3


def test_weights_are_areas():
    verts = torch.tensor([[[0.0, 0, 0], [3, 0, 0], [0, 1, 0], [0, 0, 1]]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])  # areas 3/2 along z and 1/2 along x
    expected = torch.tensor([1.0, 0, 3]) / 10**0.5
    torch.testing.assert_close(vertex_normals(verts, faces)[0, 0], expected)


def test_turn_with_the_mesh_and_ignore_scale_and_place():
    verts, faces = sphere()
    verts = verts + 0.05 * torch.randn(verts.shape, generator=torch.Generator().manual_seed(0))
    rotation = rotation_from_axis_angle(torch.tensor([[0.3, -1.0, 0.4]]))[0]
    moved = 70 * verts @ rotation.T + torch.tensor([1.0, 2, 1000])
    expected = vertex_normals(verts[None], faces) @ rotation.T
    torch.testing.assert_close(vertex_normals(moved[None], faces), expected, atol=2e-3, rtol=0)


def test_lonely_vertex_and_flat_face_have_no_normal_and_no_nan():
    verts = torch.tensor([[[0.0, 0, 0], [1, 1, 1], [2, 2, 2], [5, 5, 5]]], requires_grad=True)
    normals = vertex_normals(verts, torch.tensor([[0, 1, 2]]))
    assert (normals == 0).all()
    normals.sum().backward()
    assert torch.isfinite(verts.grad).all()


def test_gradcheck():
    verts, faces = sphere(4, 5)
    verts = (verts + 0.1 * torch.randn(verts.shape, generator=torch.Generator().manual_seed(0))).double()
    assert torch.autograd.gradcheck(lambda v: vertex_normals(v, faces), verts[None].requires_grad_())


def test_derivative_along_displacements():
    verts, faces = sphere()
    generator = torch.Generator().manual_seed(0)
    verts = (verts + 0.05 * torch.randn(verts.shape, generator=generator)).double()
    basis = torch.randn(len(verts), 3, 2, generator=generator).double()
    found = normal_derivative(verts, faces, basis)
    for index in range(2):
        moved = [vertex_normals((verts + sign * 1e-6 * basis[..., index])[None], faces)[0] for sign in (1, -1)]
        torch.testing.assert_close(found[..., index], (moved[0] - moved[1]) / 2e-6, atol=1e-4, rtol=1e-4)

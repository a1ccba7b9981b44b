import pytest
import torch

from render.baking import bake, pad_texture, texel_map
from render.sampling import sample_image
from tests.tolerances import ROUNDING

QUAD_UV = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
QUAD = torch.tensor([[0, 1, 2], [2, 1, 3]])


def grid_uv(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    steps = torch.linspace(0.1, 0.9, count)
    v, u = torch.meshgrid(steps, steps, indexing="ij")
    row = torch.arange(count * count).view(count, count)
    a, b, c, d = row[:-1, :-1], row[:-1, 1:], row[1:, :-1], row[1:, 1:]
    faces = torch.cat([torch.stack([a, b, c], -1).view(-1, 3), torch.stack([c, b, d], -1).view(-1, 3)])
    return torch.stack([u, v], -1).view(-1, 2), faces


@pytest.mark.parametrize("size", [8, 9, 64])
def test_a_square_covers_every_texel_without_holes(size):
    """Odd sizes put texel centres exactly on the diagonal."""
    texels = texel_map(QUAD_UV, QUAD, size)
    assert texels.mask.all()
    torch.testing.assert_close(texels.bary.sum(-1), torch.ones(size, size))
    uv = bake(QUAD_UV, QUAD, texels)
    center = (torch.arange(size) + 0.5) / size
    torch.testing.assert_close(uv[..., 0], center.expand(size, size), **ROUNDING)
    torch.testing.assert_close(uv[..., 1], (1 - center)[:, None].expand(size, size), **ROUNDING)


def test_first_row_is_v_one():
    up = bake(QUAD_UV[:, 1:], QUAD, texel_map(QUAD_UV, QUAD, 16))[..., 0]
    assert up[0].min() > 0.9
    assert up[-1].max() < 0.1


def test_what_is_baked_is_read_back_at_the_vertices():
    uv, faces = grid_uv(9)
    size = 256
    texels = texel_map(uv, faces, size)
    field = torch.stack([2 * uv[:, 0] + uv[:, 1], 1 - uv[:, 1]], 1)
    texture = pad_texture(bake(field, faces, texels), texels.mask, 3)
    image = texture.permute(2, 0, 1)[None]
    xy = torch.stack([uv[:, 0], 1 - uv[:, 1]], 1)[None] * size
    torch.testing.assert_close(sample_image(image, xy)[0], field, atol=0.02, rtol=0)


def test_mesh_corners_and_atlas_corners_may_differ():
    """Two atlas charts of one mesh: rows of faces and uv_faces stay in step."""
    mesh_faces = torch.tensor([[3, 0, 1], [1, 0, 2]])
    values = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    texels = texel_map(QUAD_UV, QUAD, 32)
    texture = bake(values, mesh_faces, texels)
    assert texture[-1, 0, 0] > 2.9  # u = v = 0 is corner 0 of face 0: mesh vertex 3
    assert abs(texture[0, -1, 0] - 2.0) < 0.1  # u = v = 1 is corner 2 of face 1: mesh vertex 2


def test_overlap_takes_the_lowest_face():
    texels = texel_map(QUAD_UV, torch.cat([QUAD, QUAD]), 16)
    assert texels.face.max() == 1


def test_padding_takes_the_nearest_within_reach():
    texture, mask = torch.zeros(9, 9, 1), torch.zeros(9, 9, dtype=torch.bool)
    texture[4, 2], texture[4, 6] = 1.0, 2.0
    mask[4, 2] = mask[4, 6] = True
    kept = texture.clone()
    padded = pad_texture(texture, mask, 2)
    assert torch.equal(texture, kept)
    assert padded[4, :, 0].tolist() == [1, 1, 1, 1, 1, 2, 2, 2, 2] or padded[4, 4, 0] == 2
    assert padded[2, 2, 0] == 1
    assert padded[1, 2, 0] == 0
    assert torch.equal(pad_texture(texture, mask, 0), texture)
    assert torch.equal(pad_texture(texture, mask & False, 5), texture)


def test_bake_gradcheck():
    uv, faces = grid_uv(4)
    texels = texel_map(uv, faces, 12)
    values = torch.rand(16, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: bake(v, faces, texels), values)

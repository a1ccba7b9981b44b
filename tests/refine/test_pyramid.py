import copy

import numpy as np
import pytest
import torch

from coarse.face_model import PyramidLevel
from coarse.levels import decimated_levels
from refine.pyramid import MeshPyramid
from tests.refine.meshes import icosphere, masked_sheet, random, sphere_pyramid


@pytest.fixture(scope="module")
def sheet():
    return MeshPyramid(decimated_levels(*masked_sheet(30), (4, 4)))


def test_factors_four_give_the_published_sizes():
    levels = decimated_levels(*icosphere(3), (4, 4, 4))
    counts = MeshPyramid(levels).vertex_counts
    assert counts == (642, 161, 41, 11)


def test_pooling_what_was_unpooled_gives_it_back(sheet):
    for level in range(2):
        x = random(2, sheet.vertex_counts[level + 1], 3)
        assert torch.allclose(sheet.pool(sheet.unpool(x, level), level), x, atol=1e-5)


def test_pooling_chooses_the_kept_vertices():
    levels = decimated_levels(*icosphere(2), (4,))
    x = random(2, 162, 3)
    assert torch.equal(MeshPyramid(levels).pool(x, 0), x[:, levels[0].down_index.astype(np.int64)])


def test_constants_pass_and_positions_nearly():
    verts, faces = icosphere(3)
    levels = decimated_levels(verts, faces, (4,))
    pyramid = MeshPyramid(levels)
    ones = torch.ones(1, 161, 1)
    assert torch.allclose(pyramid.unpool(ones, 0), torch.ones(1, 642, 1), atol=1e-6)
    assert torch.allclose(pyramid.average(torch.ones(1, 642, 1), 0), torch.ones(1, 642, 1), atol=1e-6)
    points = torch.tensor(verts, dtype=torch.float32)[None]
    assert (pyramid.unpool(pyramid.pool(points, 0), 0) - points).norm(dim=2).max() < 0.06


def test_gather_is_the_transpose_of_unpool(sheet):
    x, y = random(1, sheet.vertex_counts[1], 2), random(1, sheet.vertex_counts[0], 2, seed=1)
    left, right = (sheet.unpool(x, 0) * y).sum(), (x * sheet.gather(y, 0)).sum()
    assert left.item() == pytest.approx(right.item(), rel=1e-4)


def test_gradients_of_pool_and_unpool():
    pyramid = sphere_pyramid(1, (4,)).double()
    assert torch.autograd.gradcheck(lambda x: pyramid.pool(x, 0), random(2, 42, 2).double().requires_grad_())
    assert torch.autograd.gradcheck(lambda x: pyramid.unpool(x, 0), random(2, 11, 2).double().requires_grad_())


def test_nothing_but_weights_is_saved_and_copies_share_no_memory(sheet):
    twin = copy.deepcopy(sheet)
    assert not sheet.state_dict()
    assert torch.equal(twin.topology, sheet.topology)
    assert twin.laplacian(0).get_buffer("value").data_ptr() != sheet.laplacian(0).get_buffer("value").data_ptr()


def test_topology_tells_meshes_apart():
    levels = decimated_levels(*icosphere(2), (4,))
    rotated = (PyramidLevel(levels[0].faces[:, [1, 2, 0]], *vars_of(levels[0])), levels[1])
    assert not torch.equal(MeshPyramid(levels).topology, MeshPyramid(rotated).topology)


def vars_of(level):
    return level.down_index, level.up_index, level.up_weight


def test_a_single_level_is_a_pyramid():
    _, faces = icosphere(1)
    assert len(MeshPyramid((PyramidLevel(faces.astype(np.int32)),))) == 1


def test_wrong_tables_are_refused():
    levels = decimated_levels(*icosphere(2), (4,))
    down, up, weight = vars_of(levels[0])
    with pytest.raises(ValueError, match="none were given"):
        MeshPyramid(())
    with pytest.raises(ValueError, match="up_index and up_weight of level 0"):
        MeshPyramid((PyramidLevel(levels[0].faces, down, up, weight[:5]), levels[1]))
    with pytest.raises(ValueError, match="outside"):
        MeshPyramid((PyramidLevel(levels[0].faces, down, up + 40, weight), levels[1]))
    with pytest.raises(ValueError, match="faces of level 1"):
        MeshPyramid((PyramidLevel(levels[0].faces, down[:10], up, weight), levels[1]))
    with pytest.raises(ValueError, match="2 or more"):
        decimated_levels(*icosphere(1), (1,))
    verts, faces = icosphere(1)
    with pytest.raises(ValueError, match="belong to no face"):
        decimated_levels(np.concatenate([verts, verts[:1]]), faces, (4,))

"""The closed-form similarity: exact recovery, properties of a least-squares answer, and gradients."""

import pytest
import torch

from coarse.similarity import Similarity, similarity_between
from render.rotation import rotation_from_axis_angle
from render.shapes import ShapeError


def cloud(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, 3, generator=generator, dtype=torch.float64) * torch.tensor([3.0, 2.0, 1.0])


def known(batch=5, seed=1):
    generator = torch.Generator().manual_seed(seed)
    axis = torch.randn(batch, 3, generator=generator, dtype=torch.float64)
    scale = 0.2 + torch.rand(batch, generator=generator, dtype=torch.float64) * 3
    return Similarity(rotation_from_axis_angle(axis), scale, 10 * axis.flip(0))


def test_exact_points_give_the_exact_similarity():
    truth, source = known(), cloud(40)
    found = similarity_between(source, truth.apply(source))
    for name in ("rotation", "scale", "translation"):
        torch.testing.assert_close(getattr(found, name), getattr(truth, name), rtol=1e-9, atol=1e-9)


def test_undo_is_the_inverse():
    truth, source = known(), cloud(5, 7)
    torch.testing.assert_close(truth.undo(truth.apply(source)), source)


def test_a_mirror_image_gets_a_rotation_all_the_same():
    source = cloud(30)
    mirrored = (source * torch.tensor([-1.0, 1.0, 1.0]))[None]
    found = similarity_between(source, mirrored)
    assert torch.linalg.det(found.rotation).item() == pytest.approx(1.0)
    # the plain product U V^T, what a solver without Umeyama's sign would answer, is a reflection
    centered = source - source.mean(0)
    u, _, vh = torch.linalg.svd((mirrored[0] - mirrored[0].mean(0)).T @ centered)
    assert torch.linalg.det(u @ vh).item() == pytest.approx(-1.0)


def test_flat_points_are_enough():
    truth, source = known(), cloud(30) * torch.tensor([1.0, 1.0, 0.0])
    found = similarity_between(source, truth.apply(source))
    torch.testing.assert_close(found.apply(source), truth.apply(source))
    torch.testing.assert_close(torch.linalg.det(found.rotation), torch.ones(5, dtype=torch.float64))


def test_a_weight_is_a_point_named_so_often():
    source, target = cloud(6), cloud(2, 6, seed=3)
    times = torch.tensor([1, 2, 1, 3, 1, 2])
    weighted = similarity_between(source, target, times.double())
    repeated = similarity_between(source.repeat_interleave(times, 0), target.repeat_interleave(times, 1))
    torch.testing.assert_close(weighted.rotation, repeated.rotation)
    torch.testing.assert_close(weighted.translation, repeated.translation)
    plain = similarity_between(source, target)
    assert (plain.translation - weighted.translation).abs().max() > 1e-2


def test_points_of_weight_zero_do_not_count():
    truth, source = known(1), cloud(20)
    target, weight = truth.apply(source).clone(), torch.ones(20)
    target[:, :5] += 100
    weight[:5] = 0
    torch.testing.assert_close(similarity_between(source, target, weight).rotation, truth.rotation)


def test_no_step_away_from_the_answer_is_better():
    source, target = cloud(12), cloud(1, 12, seed=9)
    weight = torch.rand(12, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    best = similarity_between(source, target, weight)

    def cost(turn, stretch, shift):
        rotation = rotation_from_axis_angle(torch.tensor([turn], dtype=torch.float64)) @ best.rotation
        moved = Similarity(rotation, best.scale * stretch, best.translation + torch.tensor([shift]))
        return (weight * (moved.apply(source) - target).square().sum(-1)).sum().item()

    least = cost([0.0] * 3, 1.0, [0.0] * 3)
    for axis in range(3):
        for sign in (-1e-2, 1e-2):
            step = [sign * (k == axis) for k in range(3)]
            assert cost(step, 1.0, [0.0] * 3) > least
            assert cost([0.0] * 3, 1.0, step) > least
            assert cost([0.0] * 3, 1 + sign, [0.0] * 3) > least


def test_gradients():
    source, target = cloud(6), cloud(2, 6, seed=5).requires_grad_()

    def answer(points):
        found = similarity_between(source, points)
        return found.rotation, found.scale, found.translation

    assert torch.autograd.gradcheck(answer, (target,))


def test_a_float32_answer_keeps_its_type():
    assert similarity_between(cloud(4).float(), cloud(1, 4).float()).rotation.dtype == torch.float32


def test_what_has_no_answer_is_refused():
    with pytest.raises(ValueError, match="coincide"):
        similarity_between(torch.ones(4, 3), cloud(1, 4))
    with pytest.raises(ValueError, match="weights"):
        similarity_between(cloud(4), cloud(1, 4), torch.zeros(4))
    with pytest.raises(ShapeError, match="target"):
        similarity_between(cloud(4), cloud(4))
    with pytest.raises(ShapeError, match="source"):
        similarity_between(cloud(5), cloud(1, 4))

"""Vertex colours whose drawing comes closest to a picture: the closed form, the drawing, and what stays."""

import numpy as np
import pytest
import torch

from render.interpolate import interpolate
from render.rasterize import rasterize_screen
from render.vertex_colors import ColorTarget, barycentric_matrix, solve_vertex_colors

SIDE = 24
STEPS = 60


def grid(side=7, extent=20.0):
    """A flat sheet of triangles over the middle of the frame: (V, 3) on the screen and (F, 3)."""
    y, x = torch.meshgrid(torch.linspace(0, extent, side), torch.linspace(0, extent, side), indexing="ij")
    verts = torch.stack([x.flatten() + 2.03, y.flatten() + 2.07, torch.full((side * side,), 100.0)], 1)
    corner = torch.arange(side * side).view(side, side)
    a, b, c, d = (part.flatten() for part in (corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]))
    return verts, torch.cat([torch.stack([a, b, c], 1), torch.stack([a, c, d], 1)])


@pytest.fixture
def sheet():
    verts, faces = grid()
    return len(verts), faces, rasterize_screen(verts[None], faces, (SIDE, SIDE), perspective_correct=False)


@pytest.fixture
def picture():
    return torch.rand(SIDE, SIDE, 3, generator=torch.Generator().manual_seed(0))


def drawn(colors, faces, fragments):
    return interpolate(colors, faces, fragments)[0][fragments.mask[0]]


def test_matrix_times_colours_is_the_drawing(sheet):
    count, faces, fragments = sheet
    colors = torch.rand(count, 3)
    matrix, pixel = barycentric_matrix(fragments, faces, count)
    np.testing.assert_allclose(matrix @ colors.numpy(), drawn(colors, faces, fragments), atol=1e-6)
    np.testing.assert_array_equal(pixel, np.flatnonzero(fragments.mask[0].numpy()))


def test_answer_is_the_closed_form(sheet, picture):
    count, faces, fragments = sheet
    start, ridge = torch.rand(count, 3), 0.3
    found = solve_vertex_colors(
        start, faces, [ColorTarget(fragments, picture)], torch.ones(count), ridge=ridge, steps=STEPS
    )
    w = barycentric_matrix(fragments, faces, count)[0].toarray()
    p = picture.numpy().reshape(-1, 3)[fragments.mask[0].flatten().numpy()]
    change = np.linalg.solve(w.T @ w + ridge * np.eye(count), w.T @ (p - w @ start.numpy()))
    np.testing.assert_allclose(found - start, change, atol=1e-4)


def test_gradient_vanishes_at_the_answer(sheet, picture):
    """Of the loss as it is written down, by finite differences through the drawing, freedom and pixel weights in it."""
    count, faces, fragments = sheet
    freedom = torch.rand(count, generator=torch.Generator().manual_seed(1)) * 0.8 + 0.2
    start = torch.full((count, 3), 0.5)
    target = ColorTarget(fragments, picture)
    found = solve_vertex_colors(start, faces, [target], freedom, ridge=0.1, steps=200)
    weight = drawn(freedom[:, None], faces, fragments).double()
    shown = picture[fragments.mask[0]].double()

    def loss(y):
        colors = start + freedom[:, None] * y
        misses = drawn(colors.float(), faces, fragments).double() - shown
        return float((weight * misses**2).sum() + 0.1 * (y.double() ** 2).sum())

    y = (found - start) / freedom[:, None]
    for vertex in (8, 24, 40):
        step = torch.zeros_like(y)
        step[vertex, 1] = 0.05
        slope = (loss(y + step) - loss(y - step)) / 0.1
        assert abs(slope) < 2e-3
        assert loss(y + step) > loss(y)


def test_drawing_comes_closer_than_samples_at_the_vertices(sheet):
    """Of a picture finer than the mesh; and closer still with every step."""
    count, faces, fragments = sheet
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    picture = torch.from_numpy(np.sin(x / 1.7) * np.cos(y / 1.9)).float()[..., None]
    verts, _ = grid()
    at = verts[:, :2].long().clamp(max=SIDE - 1)
    samples = picture[at[:, 1], at[:, 0]]
    shown = picture[fragments.mask[0]]
    errors = [float((drawn(samples, faces, fragments) - shown).square().mean())]
    for steps in (1, 3, 12):
        target = ColorTarget(fragments, picture)
        solved = solve_vertex_colors(samples, faces, [target], torch.ones(count), ridge=1e-3, steps=steps)
        errors.append(float((drawn(solved, faces, fragments) - shown).square().mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.75 * errors[0]


def test_held_vertices_stay_and_what_lies_over_them_pulls_at_nothing(sheet, picture):
    count, faces, fragments = sheet
    start, free = torch.full((count, 3), 0.4), torch.ones(count)
    free[: count // 2] = 0
    found = solve_vertex_colors(start, faces, [ColorTarget(fragments, picture)], free)
    assert torch.equal(found[free == 0], start[free == 0])
    assert (found - start)[free > 0].abs().max() > 0.05
    held = drawn(free[:, None], faces, fragments)[:, 0] == 0
    other = picture.clone()
    other[fragments.mask[0].nonzero()[held].unbind(1)] += 1
    again = solve_vertex_colors(start, faces, [ColorTarget(fragments, other)], free)
    torch.testing.assert_close(again, found)


def test_vertices_that_no_pixel_shows_stay(sheet, picture):
    count, faces, fragments = sheet
    start = torch.rand(count + 3, 3)
    found = solve_vertex_colors(start, faces, [ColorTarget(fragments, picture)], torch.ones(count + 3))
    assert torch.equal(found[count:], start[count:])


def test_arguments_are_left_alone(sheet, picture):
    count, faces, fragments = sheet
    start = torch.full((count, 3), 0.4)
    solve_vertex_colors(start, faces, [ColorTarget(fragments, picture)], torch.ones(count))
    assert (start == 0.4).all()

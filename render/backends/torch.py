"""The default rasteriser: plain tensor operations, exact, on any device.

Every face is opened into the pixel centres of its box; all (face, centre) pairs are tested at once; a pair that hits is
packed as (bits of its depth, face) into one int64, and `scatter_reduce` keeps the smallest for every pixel: the nearest
face, at equal depth the lowest index. Barycentrics and depth are then computed again, differentiably, from the corners
of the faces that won. Rules and rounding are PyTorch3D's (Ravi et al. 2020, arXiv:2007.08501) at blur 0, one face a
pixel, no culling.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from render.fragments import Fragments
from render.interpolate import barycentrics, doubled_area
from render.ndc import ndc_from_screen, pixel_centers_ndc

SMALLEST = 1e-8
"""PyTorch3D's: a face with a corner nearer than this is dropped whole, one with less twice-area (device coordinates) is
degenerate."""

BOX_MARGIN_PX = 1e-3
"""Boxes are widened by this, more than rounding can move a corner."""

PAIRS_AT_ONCE_CPU, PAIRS_AT_ONCE_DEVICE = 1 << 16, 1 << 22
"""Bounds on the (face, pixel centre) pairs worked on at a time, unless one face alone has more. What stays in a CPU's
cache is 1.7 times faster at 900 x 900 px; other devices want few, long pieces."""

_NONE = torch.iinfo(torch.int64).max


class _Boxes(NamedTuple):
    """Faces that may hit: corners (9, n) as x0 x1 x2 y0 y1 y2 z0 z1 z2, and (n,) int64 each."""

    corners: Tensor
    face: Tensor
    left: Tensor
    top: Tensor
    columns: Tensor
    pairs: Tensor


def rasterize_fragments(
    verts_screen: Tensor, faces: Tensor, hw: tuple[int, int], *, perspective_correct: bool
) -> Fragments:
    """Nearest face, barycentrics and depth at every pixel centre.

    Args:
        verts_screen: (B, V, 3) x_px, y_px, depth.
        faces: (F, 3) int64.
        hw: height and width in pixels.
        perspective_correct: weights in space (perspective camera) rather than on the screen.
    """
    verts_ndc = ndc_from_screen(verts_screen, hw)
    pix_to_face = nearest_faces(verts_ndc, faces, hw, perspective_correct=perspective_correct)
    flat = pix_to_face.flatten()
    pixel = (flat >= 0).nonzero()[:, 0]
    in_image = pixel % (hw[0] * hw[1])
    row = faces[flat[pixel]] + (pixel // (hw[0] * hw[1]) * verts_ndc.shape[1])[:, None]
    corners = verts_ndc.reshape(-1, 3).index_select(0, row.T.flatten()).view(3, -1, 3).permute(2, 0, 1).unbind(1)
    x, y = pixel_centers_ndc(hw, verts_ndc.device)
    center = torch.stack([x[in_image % hw[1]], y[in_image // hw[1]]]).to(verts_ndc)
    bary, depth = barycentrics(corners, center, perspective_correct)
    full_bary = bary.new_full((len(flat), 3), -1.0).index_copy(0, pixel, bary.T)
    full_depth = depth.new_full((len(flat),), -1.0).index_copy(0, pixel, depth)
    return Fragments(pix_to_face, full_bary.view(*pix_to_face.shape, 3), full_depth.view(pix_to_face.shape))


def nearest_faces(
    verts_ndc: Tensor, faces: Tensor, hw: tuple[int, int], *, perspective_correct: bool, closed: bool = False
) -> Tensor:
    """(B, H, W) int64 index of the nearest face, -1 where none.

    Args:
        verts_ndc: (B, V, 3) device coordinates and depth.
        faces: (F, 3) int64.
        hw: height and width in pixels.
        perspective_correct: whether depth runs as in space or linearly on the screen.
        closed: a centre exactly on an edge counts as inside (PyTorch3D and the default leave it out).
    """
    keys = _nearest_keys(verts_ndc, faces, hw, perspective_correct, closed)
    return torch.where(keys == _NONE, -1, keys & 0xFFFFFFFF).to(verts_ndc.device)


def nearest_depth(verts_screen: Tensor, faces: Tensor, hw: tuple[int, int], *, perspective_correct: bool) -> Tensor:
    """(B, H, W) float32 depth of the nearest face, infinite where none; arguments of `rasterize_fragments`, no grad.

    It is what `rasterize_fragments` finds on the way, at half the cost.
    """
    keys = _nearest_keys(ndc_from_screen(verts_screen, hw), faces, hw, perspective_correct, False)
    depth = (keys >> 32).int().view(torch.float32)
    return torch.where(keys == _NONE, torch.inf, depth).to(verts_screen.device)


@torch.no_grad()
def _nearest_keys(
    verts_ndc: Tensor, faces: Tensor, hw: tuple[int, int], perspective_correct: bool, closed: bool
) -> Tensor:
    """(B, H, W) int64 smallest (bits of the depth, face) at every pixel."""
    if verts_ndc.device.type == "mps":  # no int64 scatter_reduce there
        verts_ndc, faces = verts_ndc.cpu(), faces.cpu()
    keys = torch.full((len(verts_ndc), hw[0] * hw[1]), _NONE, dtype=torch.int64, device=verts_ndc.device)
    for row, ndc in zip(keys, verts_ndc.detach().float(), strict=True):
        for boxes in _chunks(_boxes(ndc, faces, hw)):
            pixel, key = _hits(boxes, hw, perspective_correct, closed)
            row.scatter_reduce_(0, pixel, key, "amin")
    return keys.view(-1, *hw)


def _boxes(ndc: Tensor, faces: Tensor, hw: tuple[int, int]) -> _Boxes:
    """Drop faces that cannot hit a centre; give the others' boxes of centres, cut to the frame."""
    row = faces.T.reshape(-1)
    corners = torch.stack([axis.contiguous().index_select(0, row) for axis in ndc.unbind(1)]).view(3, 3, -1)
    low, high = corners.amin(1), corners.amax(1)
    half = min(hw) / 2
    size = low.new_tensor([hw[1], hw[0]])[:, None]
    first = (size / 2 - half * high[:2] - 0.5 - BOX_MARGIN_PX).ceil().clamp(min=0).minimum(size)
    last = (size / 2 - half * low[:2] - 0.5 + BOX_MARGIN_PX).floor().clamp(min=-1).minimum(size - 1)
    extent = (last - first + 1).clamp(min=0)
    a, b, c = corners.unbind(1)
    area = doubled_area(c, a, b).abs()
    live = (area > SMALLEST) & (low[2] >= SMALLEST) & (extent[0] * extent[1] > 0)
    live &= torch.isfinite(area) & torch.isfinite(high[2])
    face = live.nonzero()[:, 0]
    left, top, columns, lines = torch.cat([first, extent]).index_select(1, face).long()
    return _Boxes(corners.reshape(9, -1).index_select(1, face), face, left, top, columns, columns * lines)


def _chunks(boxes: _Boxes) -> Iterator[_Boxes]:
    """The same boxes in pieces of bounded pairs (or one face)."""
    bound = PAIRS_AT_ONCE_CPU if boxes.face.device.type == "cpu" else PAIRS_AT_ONCE_DEVICE
    ends = boxes.pairs.cumsum(0)
    start = 0
    while start < len(ends):
        done = int(ends[start - 1]) if start else 0
        stop = max(int(torch.searchsorted(ends, done + bound, right=True)), start + 1)
        yield _Boxes(*(field[..., start:stop] for field in boxes))
        start = stop


def _hits(boxes: _Boxes, hw: tuple[int, int], perspective_correct: bool, closed: bool) -> tuple[Tensor, Tensor]:
    """Pixel (h,) and key (h,) of every pair whose centre lies in its face."""
    pair = torch.repeat_interleave(boxes.pairs)
    step = torch.arange(len(pair), device=pair.device) - (boxes.pairs.cumsum(0) - boxes.pairs).index_select(0, pair)
    columns = boxes.columns.index_select(0, pair)
    down = torch.div(step, columns, rounding_mode="floor")
    column = step - down * columns + boxes.left.index_select(0, pair)
    line = down + boxes.top.index_select(0, pair)
    x, y = pixel_centers_ndc(hw, pair.device)
    point = torch.stack([x.index_select(0, column), y.index_select(0, line)])
    a, b, c = boxes.corners[:6].index_select(1, pair).view(2, 3, -1).unbind(1)
    edges = torch.stack([doubled_area(point, b, c), doubled_area(point, c, a), doubled_area(point, a, b)])
    low, high = edges.amin(0), edges.amax(0)
    inside = (low >= 0) | (high <= 0) if closed else (low > 0) | (high < 0)
    keep = inside.nonzero()[:, 0]
    pair = pair.index_select(0, keep)
    corners = boxes.corners.index_select(1, pair).view(3, 3, -1).unbind(1)
    _, depth = barycentrics(corners, point.index_select(1, keep), perspective_correct)
    key = depth.view(torch.int32).long() << 32 | boxes.face.index_select(0, pair)
    return (line * hw[1] + column).index_select(0, keep), key

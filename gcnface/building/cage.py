"""The head cage: the quads of MakeHuman's base mesh that make the head model, with their parts.

Parts are found from the base mesh's own texture islands (head skin, mouth cavity, eye sockets, rest of the
body) and its CC0 texture masks (face, ears, lips, eyelids), so no list of indices is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh

from coarse.upsampling import component_labels
from gcnface.building.makehuman import BaseMesh, MakeHumanData

MM_PER_DM = 100.0
# The neck is cut by the plane y = NECK_HEIGHT_DM + NECK_SLOPE * z (decimetres).
NECK_HEIGHT_DM = 5.80
NECK_SLOPE = -0.3
# Skin with y below the first and z above the second (decimetres) is the underside of the jaw.
UNDER_JAW_DM = (6.5, 0.3)
PARTS = ("face", "ears", "scalp", "neck", "mouth_interior", "eyeballs")


@dataclass(frozen=True)
class HeadCage:
    """Quad mesh of the head.

    Attributes:
        vertices: (Vc, 3) mm, the base mesh's own shape (not the mean).
        quads: (Qc, 4) indices.
        mirror: (Vc,) index of each vertex's mirror image.
        part: (Qc,) index into PARTS.
        lips: (Qc,) bool, quads of the red lips.
        lids: (Qc,) bool, quads of the lid margins.
        base_index: (Vc,) index of each vertex in the base mesh.
    """

    vertices: np.ndarray
    quads: np.ndarray
    mirror: np.ndarray
    part: np.ndarray
    lips: np.ndarray
    lids: np.ndarray
    base_index: np.ndarray


def head_cage(data: MakeHumanData) -> HeadCage:
    """Cut the head out of the base mesh: skin down to the neck, mouth cavity and both eyeballs.

    Eye sockets, teeth, tongue, lashes, hair and joint helpers are left out.
    """
    base = data.base_mesh()
    masks = {name: _quad_mask(base, data.mask(name)) for name in ("face", "ears", "lips", "eyelids")}
    part = _parts(base, masks)
    kept = np.flatnonzero(part >= 0)
    base_index, flat = np.unique(base.quads[kept], return_inverse=True)
    return HeadCage(
        vertices=base.vertices[base_index] * MM_PER_DM,
        quads=flat.reshape(-1, 4),
        mirror=np.searchsorted(base_index, base.mirror[base_index]),
        part=part[kept],
        lips=masks["lips"][kept],
        lids=masks["eyelids"][kept],
        base_index=base_index,
    )


def restore_eyeballs(cage: HeadCage, values: np.ndarray, factor: float) -> np.ndarray:
    """Scale each eyeball of the cage about its own centre, which makes up for what subdivision shrinks.

    Args:
        cage: the head cage.
        values: (..., Vc, 3) positions or offsets: the map is linear.
        factor: radius wanted over radius on the cage.
    """
    eyes = np.unique(cage.quads[cage.part == PARTS.index("eyeballs")])
    restored = values.copy()
    for side in (1.0, -1.0):
        eye = eyes[cage.vertices[eyes, 0] * side > 0]
        center = values[..., eye, :].mean(-2, keepdims=True)
        restored[..., eye, :] = center + factor * (values[..., eye, :] - center)
    return restored


def mirror_quads(quads: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Index of each face's mirror image among `quads` (Q, n), given the vertices' `mirror` table.

    Raises:
        ValueError: when the mesh is not its own mirror image.
    """
    order = {tuple(quad): i for i, quad in enumerate(np.sort(quads, axis=1).tolist())}
    try:
        return np.array([order[tuple(quad)] for quad in np.sort(mirror[quads], axis=1).tolist()])
    except KeyError as error:
        raise ValueError(f"face {error} has no mirror image: the mirror table does not fit the faces") from error


def _parts(base: BaseMesh, masks: dict[str, np.ndarray]) -> np.ndarray:
    """Part of every quad of the base mesh, -1 where it is not of the head."""
    part = np.full(len(base.quads), -1)
    head, mouth, body = _islands(base)
    part[head] = PARTS.index("scalp")
    part[mouth] = PARTS.index("mouth_interior")
    face = head & ~masks["ears"] & (masks["face"] | masks["lips"] | masks["eyelids"])
    part[head & masks["ears"]] = PARTS.index("ears")
    under_jaw = head & ~masks["ears"] & _below_jaw(base)
    face = _close(base.quads, face | under_jaw, head & ~masks["ears"])
    part[_largest_component(base.quads, face)] = PARTS.index("face")
    part[np.isin(base.groups, ("helper-l-eye", "helper-r-eye"))] = PARTS.index("eyeballs")
    part[_neck(base, body)] = PARTS.index("neck")
    return part


def _islands(base: BaseMesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks over the quads of the texture islands: head skin, mouth cavity, rest of the body's skin."""
    island = component_labels(base.uv_quads, len(base.uv))[base.uv_quads[:, 0]]
    body = base.groups == "body"
    top = np.argmax(np.where(body, base.vertices[base.quads][:, :, 1].mean(1), -np.inf))
    head = body & (island == island[top])
    largest = np.bincount(island[body]).argmax()
    mouth_seed = _island_joined_to(base, head, body & (island != largest) & ~head)
    return head, body & (island == island[mouth_seed]), body & (island == largest)


def _island_joined_to(base: BaseMesh, head: np.ndarray, others: np.ndarray) -> int:
    """A quad of the midline island that shares vertices with the head island: the mouth cavity."""
    shared = np.isin(base.quads, np.unique(base.quads[head])).any(1) & others
    on_midline = np.abs(base.vertices[base.quads][:, :, 0]).min(1) < 1e-6
    return int(np.flatnonzero(shared & on_midline)[0])


def _neck(base: BaseMesh, body: np.ndarray) -> np.ndarray:
    """Quads of the neck: the body's skin wholly above a plane that rises towards the nape.

    The plane is the one whose cut runs most nearly along one ring of quads.
    """
    corners = base.vertices[base.quads]
    return body & (corners[:, :, 1] - NECK_SLOPE * corners[:, :, 2] > NECK_HEIGHT_DM).all(1)


def _below_jaw(base: BaseMesh) -> np.ndarray:
    """Quads in front of the neck and below the mouth: the jaw's underside down to the neck's seam."""
    center = base.vertices[base.quads].mean(1)
    return (center[:, 1] < UNDER_JAW_DM[0]) & (center[:, 2] > UNDER_JAW_DM[1])


def _close(quads: np.ndarray, chosen: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Fill notches: add allowed quads whose four corners all lie on chosen quads, until nothing changes."""
    while True:
        touched = np.zeros(quads.max() + 1, dtype=bool)
        touched[quads[chosen]] = True
        grown = chosen | (allowed & touched[quads].all(1))
        if (grown == chosen).all():
            return chosen
        chosen = grown


def _largest_component(quads: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Indices of the largest part of the chosen quads that hangs together by edges."""
    index = np.flatnonzero(chosen)
    edges = np.sort(np.concatenate([quads[index][:, [i, (i + 1) % 4]] for i in range(4)]), axis=1)
    joined = np.tile(index, 4)[trimesh.grouping.group_rows(edges, require_count=2)]
    return max(trimesh.graph.connected_components(joined, nodes=index), key=len)


def _quad_mask(base: BaseMesh, mask: np.ndarray, threshold: float = 0.3) -> np.ndarray:
    """Whether the texture mask is on at each quad's centre."""
    center = base.uv[base.uv_quads].mean(1)
    height, width = mask.shape
    column = np.clip((center[:, 0] * width).astype(int), 0, width - 1)
    row = np.clip(((1.0 - center[:, 1]) * height).astype(int), 0, height - 1)
    on = (mask[row, column] > threshold) & (base.groups == "body")
    return on | on[mirror_quads(base.quads, base.mirror)]

"""Mesh pyramid: pooling by choosing vertices, un-pooling by barycentric weights, a Laplacian on every level.

Ranjan et al., "Generating 3D faces using convolutional mesh autoencoders" (CoMA), 2018; used by Lin et al. 2020.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, eye_array
from torch import Tensor, nn

from coarse.face_model import PyramidLevel
from refine.graph import averaging, scaled_laplacian
from refine.sparse import SparseOperator


class MeshPyramid(nn.Module):
    """The operators of a mesh pyramid; level 0 is the finest.

    All tables are constants of the topology and stay out of the state dict; networks whose weights depend on the
    numbering save `topology` beside them, to refuse another mesh's weights.

    Args:
        levels: finest first, as in `coarse.face_model.FaceModel.levels` or from `coarse.levels.decimated_levels`.

    Attributes:
        vertex_counts: vertices of each level.
        faces: (F, 3) int64 triangles of the finest level.
        topology: (levels, 2) int64, each level's vertex count and CRC-32 of its tables.
        laplacians: rescaled Laplacian of each level, (V_l, V_l), symmetric.
        averages: mean over neighbours of each level, (V_l, V_l).
        pools: choice of vertices, (V_{l+1}, V_l).
        unpools: barycentric weights, (V_l, V_{l+1}).

    Raises:
        ValueError: no levels, or tables that do not fit together.
    """

    faces: Tensor
    topology: Tensor

    def __init__(self, levels: Sequence[PyramidLevel]) -> None:
        super().__init__()
        counts = _vertex_counts(levels)
        self.vertex_counts = counts
        pairs = list(zip(levels, counts, strict=True))
        self.laplacians = nn.ModuleList(SparseOperator(scaled_laplacian(x.faces, n), symmetric=True) for x, n in pairs)
        self.averages = nn.ModuleList(SparseOperator(averaging(x.faces, n)) for x, n in pairs)
        steps = list(zip(levels[:-1], counts[:-1], counts[1:], strict=True))
        self.pools = nn.ModuleList(SparseOperator(eye_array(n, format="csr")[x.down_index]) for x, n, _ in steps)
        self.unpools = nn.ModuleList(SparseOperator(_mixture(x.up_index, x.up_weight, m)) for x, _, m in steps)
        rows = [[n, _checksum(x)] for x, n in pairs]
        self.register_buffer("topology", torch.tensor(rows, dtype=torch.int64), persistent=False)
        self.register_buffer("faces", torch.as_tensor(np.asarray(levels[0].faces, np.int64)), persistent=False)

    def __len__(self) -> int:
        return len(self.vertex_counts)

    def laplacian(self, level: int) -> SparseOperator:
        """The rescaled Laplacian of a level."""
        operator = self.laplacians[level]
        assert isinstance(operator, SparseOperator)
        return operator

    def pool(self, features: Tensor, level: int) -> Tensor:
        """From `level` to the next coarser: (B, V_level, C) to (B, V_{level+1}, C)."""
        return self.pools[level](features)

    def unpool(self, features: Tensor, level: int) -> Tensor:
        """From the next coarser level to `level`: (B, V_{level+1}, C) to (B, V_level, C)."""
        return self.unpools[level](features)

    def gather(self, features: Tensor, level: int) -> Tensor:
        """Transpose of `unpool`: sums from `level` to the next coarser, (B, V_level, C) to (B, V_{level+1}, C)."""
        operator = self.unpools[level]
        assert isinstance(operator, SparseOperator)
        return operator.transpose(features)

    def average(self, features: Tensor, level: int) -> Tensor:
        """Mean over the neighbours, (B, V_level, C) to the same."""
        return self.averages[level](features)


def _vertex_counts(levels: Sequence[PyramidLevel]) -> tuple[int, ...]:
    if not levels:
        raise ValueError("a pyramid has one level at least, none were given")
    below = [len(level.down_index) for level in levels[:-1]]
    finest = len(levels[0].up_index) if len(levels) > 1 else int(np.max(levels[0].faces)) + 1
    counts = (finest, *below)
    for depth, (level, count) in enumerate(zip(levels, counts, strict=True)):
        if np.max(level.faces) >= count:
            raise ValueError(f"faces of level {depth} index vertex {np.max(level.faces)} of {count}")
    for depth, (level, count, coarser) in enumerate(zip(levels[:-1], counts[:-1], counts[1:], strict=True)):
        shapes = (np.shape(level.up_index), np.shape(level.up_weight))
        if shapes != ((count, 3), (count, 3)):
            raise ValueError(f"up_index and up_weight of level {depth} are {shapes}; both must be ({count}, 3)")
        if np.max(level.down_index) >= count or np.max(level.up_index) >= coarser:
            raise ValueError(f"down_index or up_index of level {depth} point outside {count} and {coarser} vertices")
    return counts


def _mixture(index: NDArray[np.int32], weight: NDArray[np.float32], coarse_count: int) -> csr_matrix:
    rows = np.repeat(np.arange(len(index)), index.shape[1])
    matrix = csr_matrix((weight.reshape(-1), (rows, index.reshape(-1))), shape=(len(index), coarse_count))
    matrix.eliminate_zeros()
    return matrix


def _checksum(level: PyramidLevel) -> int:
    tables = (level.faces, level.down_index, level.up_index)
    return zlib.crc32(b"".join(np.ascontiguousarray(table, dtype="<i4").tobytes() for table in tables))

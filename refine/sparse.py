"""Constant sparse matrices as differentiable operators on per-vertex features."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix, sparray, spmatrix
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from refine.layout import batch_first, vertex_major
from render.shapes import check_shape

CSR_DEVICES = ("cpu", "cuda")
"""Device types on which torch multiplies CSR matrices; elsewhere rows are gathered and added."""


class SparseRows:
    """One constant CSR matrix (n, m) and its products with dense matrices; knows no gradients."""

    def __init__(self, crow: Tensor, column: Tensor, value: Tensor, column_count: int) -> None:
        self.shape = (len(crow) - 1, column_count)
        self.value = value
        self.column = column
        self.row: Tensor | None = None
        self.csr: Tensor | None = None
        if value.device.type in CSR_DEVICES:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Sparse (CSR|invariant)")
                self.csr = torch.sparse_csr_tensor(crow, column, value, self.shape, check_invariants=False)
        else:
            self.row = torch.repeat_interleave(crow.diff())

    def multiply(self, dense: Tensor) -> Tensor:
        """M @ dense: (m, c) to (n, c)."""
        out = dense.new_zeros(self.shape[0], dense.shape[1])
        return self.add_product(out, dense, out, alpha=1.0, beta=0.0)

    def add_product(self, base: Tensor, dense: Tensor, out: Tensor, *, alpha: float, beta: float) -> Tensor:
        """Write beta * base + alpha * M @ dense into `out` (n, c), which may be `base` itself; returns `out`."""
        if self.csr is not None:
            return torch.addmm(base, self.csr, dense, beta=beta, alpha=alpha, out=out)
        product = dense.new_zeros(self.shape[0], dense.shape[1])
        product.index_add_(0, self.row, self.value[:, None] * dense[self.column])  # type: ignore[arg-type]
        return out.copy_(alpha * product if beta == 0 else beta * base + alpha * product)


class SparseOperator(nn.Module):
    r"""y = M x along the vertices, for a constant sparse M.

    The matrix is a constant of the topology, not a weight: it moves with `.to()` but is not in the state dict. The
    torch matrix, its transpose and their set-up are made once a device and kept.

    Args:
        matrix: (n, m) scipy sparse matrix.
        symmetric: the transpose is the matrix itself (then the backward product is the same product).

    Shapes:
        input (B, m, C), output (B, n, C); float32, also under autocast.

    Raises:
        ValueError: `symmetric` is claimed of a matrix that is not.
    """

    def __init__(self, matrix: spmatrix | sparray, *, symmetric: bool = False) -> None:
        super().__init__()
        rows = csr_matrix(matrix, copy=True)
        rows.sort_indices()
        if symmetric and (rows.shape[0] != rows.shape[1] or abs(rows - rows.T).max() > 1e-6):
            raise ValueError(f"the matrix {rows.shape} is said to be symmetric and is not: leave symmetric=False")
        self.shape: tuple[int, int] = rows.shape
        self.symmetric = symmetric
        self._register("", rows)
        if not symmetric:
            self._register("transposed_", csr_matrix(rows.T))
        self._cache: dict[str, SparseRows] = {}

    def _register(self, prefix: str, rows: csr_matrix) -> None:
        rows.sort_indices()
        arrays = {"crow": np.int32(rows.indptr), "column": np.int32(rows.indices), "value": np.float32(rows.data)}
        for name, array in arrays.items():
            self.register_buffer(prefix + name, torch.from_numpy(array.copy()), persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """Type that inputs are cast to."""
        return self.get_buffer("value").dtype

    @property
    def rows(self) -> SparseRows:
        """The matrix on its present device."""
        return self._rows("", self.shape[1])

    @property
    def transposed_rows(self) -> SparseRows:
        """The transpose on its present device."""
        return self.rows if self.symmetric else self._rows("transposed_", self.shape[0])

    def _rows(self, prefix: str, column_count: int) -> SparseRows:
        value = self.get_buffer(prefix + "value")
        kept = self._cache.get(prefix)
        if kept is None or kept.value is not value:
            crow, column = self.get_buffer(prefix + "crow"), self.get_buffer(prefix + "column")
            kept = self._cache[prefix] = SparseRows(crow, column, value, column_count)
        return kept

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": {}}

    def forward(self, features: Tensor) -> Tensor:
        """(B, m, C) to (B, n, C)."""
        check_shape("features", features, "B V C", V=self.shape[1])
        return self._product(features, self.rows, self.transposed_rows)

    def transpose(self, features: Tensor) -> Tensor:
        """The transpose's product, (B, n, C) to (B, m, C)."""
        check_shape("features", features, "B V C", V=self.shape[0])
        return self._product(features, self.transposed_rows, self.rows)

    def _product(self, features: Tensor, rows: SparseRows, transposed: SparseRows) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            operand = vertex_major(features.to(self.dtype))
            return batch_first(_Product.apply(operand, rows, transposed))

    def extra_repr(self) -> str:
        """Shape and number of stored entries."""
        return f"{self.shape[0]} x {self.shape[1]}, {len(self.get_buffer('value'))} entries"


class _Product(torch.autograd.Function):
    """(m, B, C) to (n, B, C); the gradient is the transpose's product."""

    @staticmethod
    def forward(ctx: Any, operand: Tensor, rows: SparseRows, transposed: SparseRows) -> Tensor:
        ctx.transposed = transposed
        return _multiply(rows, operand)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        with torch.autocast(gradient.device.type, enabled=False):
            return _multiply(ctx.transposed, gradient.contiguous()), None, None


def _multiply(rows: SparseRows, operand: Tensor) -> Tensor:
    return rows.multiply(operand.flatten(1)).unflatten(1, operand.shape[1:])

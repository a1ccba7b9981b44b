import copy
import pickle

import pytest
import torch
from scipy.sparse import random_array

from refine.layout import concatenate, vertex_major
from refine.sparse import SparseOperator, SparseRows
from tests.refine.meshes import icosphere, laplacian, random


def matrix():
    return random_array((12, 9), density=0.3, rng=1).tocsr()


def test_product_transpose_and_gradient_equal_the_dense_ones():
    operator, dense = SparseOperator(matrix()), torch.tensor(matrix().toarray()).float()
    x, g = random(2, 9, 4).requires_grad_(), random(2, 12, 4, seed=1)
    y = operator(x)
    y.backward(g)
    assert torch.allclose(y, dense @ x.detach(), atol=1e-6)
    assert torch.allclose(x.grad, dense.T @ g, atol=1e-6)
    assert torch.allclose(operator.transpose(g), dense.T @ g, atol=1e-6)


def test_gradcheck():
    operator = SparseOperator(matrix()).double()
    assert torch.autograd.gradcheck(operator, random(2, 9, 2).double().requires_grad_())


def test_rows_gathered_and_added_equal_the_csr_product(monkeypatch):
    operator = SparseOperator(matrix())
    x, base = random(9, 5), random(12, 5)
    parts = [operator.get_buffer(name) for name in ("crow", "column", "value")]
    monkeypatch.setattr("refine.sparse.CSR_DEVICES", ())
    plain = SparseRows(*parts, 9)
    assert plain.csr is None
    assert torch.allclose(plain.multiply(x), operator.rows.multiply(x), atol=1e-6)
    for beta in (0.0, -1.0):
        out = [rows.add_product(base, x, torch.zeros(12, 5), alpha=2.0, beta=beta) for rows in (plain, operator.rows)]
        assert torch.allclose(*out, atol=1e-6)


def test_under_autocast_it_stays_float32():
    operator = SparseOperator(matrix())
    x = random(1, 9, 4).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = operator(x)
    assert y.dtype == torch.float32
    assert torch.equal(y, operator(x.float()))


def test_nothing_is_saved_and_copies_work():
    operator = SparseOperator(matrix())
    x = random(1, 9, 2)
    y = operator(x)
    assert not operator.state_dict()
    for twin in (copy.deepcopy(operator), pickle.loads(pickle.dumps(operator))):
        assert torch.equal(twin(x), y)
    assert operator.double()(x).dtype == torch.float64


def test_false_symmetry_and_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="symmetric"):
        SparseOperator(matrix(), symmetric=True)
    with pytest.raises(ValueError, match="features has shape"):
        SparseOperator(matrix())(random(1, 12, 3))


def test_memory_stays_vertex_major_through_a_chain():
    verts, faces = icosphere(1)
    operator = laplacian(faces, len(verts))
    y = torch.relu(operator(random(3, len(verts), 4))) + 1
    joined = concatenate(y, y)
    assert y.transpose(0, 1).is_contiguous()
    assert vertex_major(y).data_ptr() == y.data_ptr()
    assert joined.transpose(0, 1).is_contiguous()
    assert torch.equal(joined, torch.cat([y, y], dim=2))

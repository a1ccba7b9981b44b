import numpy as np
import pytest
import torch

from render.shapes import ShapeError, check_shape


def test_binds_letters():
    assert check_shape("x", torch.zeros(2, 5, 3), "B V 3") == {"B": 2, "V": 5}
    assert check_shape("x", np.zeros((2, 5, 3)), "... 3") == {}
    assert check_shape("x", torch.zeros(3), "... 3", V=4) == {"V": 4}


@pytest.mark.parametrize("shape", [(2, 5, 4), (5, 3), (1, 2, 5, 3)])
def test_names_argument_expected_and_found(shape):
    with pytest.raises(ShapeError, match=r"verts has shape \(.*\); expected \(B, V, 3\)"):
        check_shape("verts", torch.zeros(shape), "B V 3")


def test_same_letter_must_agree():
    with pytest.raises(ShapeError):
        check_shape("matrix", torch.zeros(3, 4), "N N")
    with pytest.raises(ShapeError, match="with V=6"):
        check_shape("verts", torch.zeros(5, 3), "V 3", V=6)


def test_refuses_what_has_no_shape():
    with pytest.raises(ShapeError, match="list"):
        check_shape("verts", [[0, 0, 0]], "V 3")


def test_too_few_dimensions_behind_ellipsis():
    with pytest.raises(ShapeError):
        check_shape("matrix", torch.zeros(3), "... 3 3")

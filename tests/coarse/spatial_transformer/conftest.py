import pytest
import torch

from coarse.face_model import load_face_model
from coarse.spatial_transformer.theta import theta_layout_of


@pytest.fixture(scope="session")
def model():
    return load_face_model()


@pytest.fixture(scope="session")
def small_layout(model):
    return theta_layout_of(model, identity=5, expression=5)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)

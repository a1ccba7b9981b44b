import pytest

from gcnface.evaluation.methods import look
from gcnface.pipeline import Reconstructor


@pytest.fixture(scope="session")
def reconstructor():
    return Reconstructor(texture_size=256)


@pytest.fixture(scope="session")
def seen(reconstructor, portrait):
    return look(reconstructor, portrait)

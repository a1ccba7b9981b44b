import pytest

from gcnface.evaluation.methods import fit_photo
from gcnface.options import ReconstructionOptions
from gcnface.pipeline import Reconstructor


@pytest.fixture(scope="session")
def reconstructor():
    return Reconstructor(ReconstructionOptions(texture_size=256))


@pytest.fixture(scope="session")
def fitted(reconstructor, portrait):
    return fit_photo(reconstructor, portrait)

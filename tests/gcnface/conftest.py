import logging
import warnings
from pathlib import Path

import pytest
import torch

from gcnface.io.images import read_photo
from gcnface.photo.crop import align_face
from gcnface.photo.detection import make_detector

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def quiet_training():
    """Lightning says nothing of missing loggers, few workers and the like."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="session")
def portrait():
    return read_photo(DATA / "face.jpg")


@pytest.fixture(scope="session")
def glasses_portrait():
    return read_photo(DATA / "glasses.jpg")


@pytest.fixture(scope="session")
def detector():
    return make_detector()


@pytest.fixture(scope="session")
def crop(detector, portrait):
    return align_face(portrait, detector.detect(portrait)[0])


@pytest.fixture(scope="session")
def glasses_crop(detector, glasses_portrait):
    return align_face(glasses_portrait, detector.detect(glasses_portrait)[0])

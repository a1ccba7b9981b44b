import numpy as np
from PIL import Image

from gcnface.result.files.maps import SOURCE_RGB
from gcnface.result.reconstruction import TEXEL_SOURCES
from tests.gcnface.results import make_reconstruction


def test_the_pictures_hold_the_maps(tmp_path):
    face = make_reconstruction()
    paths = face.save(tmp_path, "ball", ["maps"])
    assert [path.name for path in paths] == ["ball_source.png", "ball_confidence.png"]
    source, confidence = (Image.open(path) for path in paths)
    assert (source.mode, confidence.mode) == ("P", "L")
    assert np.array_equal(np.asarray(source), face.texel_source)
    assert np.array_equal(np.asarray(confidence), face.texel_confidence)
    shown = np.asarray(source.convert("RGB"))
    for number, name in enumerate(TEXEL_SOURCES):
        assert (shown[face.texel_source == number] == SOURCE_RGB[name]).all()


def test_colours_differ():
    assert set(SOURCE_RGB) == set(TEXEL_SOURCES)
    assert len(set(SOURCE_RGB.values())) == len(TEXEL_SOURCES)

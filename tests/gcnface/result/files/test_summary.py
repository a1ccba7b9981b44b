"""NAME.json: shares of texels by source and by photo."""

from dataclasses import replace

import numpy as np

from gcnface.result.files.summary import summary
from tests.gcnface.results import make_reconstruction


def painted(photos=()):
    """A quarter of the surface from each: the first photo, the second, the second mirrored, none."""
    result = make_reconstruction()
    source, photo = np.zeros((2, *result.texel_source.shape), np.uint8)
    source[:32, :16], source[:32, 16:32], source[:32, 32:48], source[:32, 48:] = 1, 1, 2, 3
    photo[:32, :16], photo[:32, 16:48] = 1, 2
    return replace(result, texel_source=source, texel_photo=photo, photo_names=photos)


def test_shares_by_photo():
    mesh = summary(painted(("a.jpg", "b.jpg", "c.jpg")), name="a", files=[])["mesh"]
    assert mesh["texels"] == {"seen": 0.5, "mirrored": 0.25, "inferred": 0.25}
    assert mesh["photos"] == {"1: a.jpg": 0.25, "2: b.jpg": 0.5, "3: c.jpg": 0.0}


def test_a_single_photo_has_no_shares():
    for photos in ((), ("a.jpg",)):
        assert "photos" not in summary(painted(photos), name="a", files=[])["mesh"]

from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest

import gcnface
from gcnface import api
from gcnface.options import ReconstructionOptions
from tests.gcnface.results import make_reconstruction


@pytest.fixture
def pipeline(monkeypatch):
    """Stands in for the networks: two faces, unless the photo is black."""
    seen = []

    def reconstructor(photo, *, on_stage=None):
        seen.append(photo)
        return [make_reconstruction(), make_reconstruction()] if photo.any() else []

    made = []
    monkeypatch.setattr(api, "load_reconstructor", lambda options: made.append(options) or reconstructor)
    reconstructor.seen, reconstructor.made = seen, made
    return reconstructor


def test_the_largest_face_of_an_array(pipeline):
    result = gcnface.reconstruct(np.full((8, 9, 3), 51, np.uint8), device="cpu", fit=False, adapt=3, texture_size=256)
    assert isinstance(result, gcnface.Reconstruction)
    assert np.allclose(pipeline.seen[0], 0.2)
    assert pipeline.seen[0].dtype == np.float32
    assert pipeline.made == [ReconstructionOptions(device="cpu", fit=False, adapt=3, texture_size=256)]
    assert result.provenance["photo_hw"] == [8, 9]


def test_all_faces_of_a_file(pipeline, tmp_path):
    from PIL import Image

    Image.new("RGB", (7, 5), (255, 0, 0)).save(tmp_path / "me.png")
    faces = gcnface.reconstruct(tmp_path / "me.png", all_faces=True)
    assert [face.provenance["photo"] for face in faces] == ["me.png", "me.png"]
    assert [face.photo_names for face in faces] == [("me.png",), ("me.png",)]


def test_no_face_names_the_photo(pipeline):
    with pytest.raises(gcnface.NoFaceError, match="^the photo given as an array: shows no face"):
        gcnface.reconstruct(np.zeros((8, 8, 3), np.float32))


def test_a_missing_file(pipeline, tmp_path):
    with pytest.raises(gcnface.PhotoError, match=r"no.jpg: no such file"):
        gcnface.reconstruct(str(tmp_path / "no.jpg"))
    assert not pipeline.seen


@pytest.mark.parametrize(
    ("photo", "message"),
    [
        (np.zeros(8), r"^the photo given as an array has shape \(8,\); expected"),
        (np.zeros((2, 8, 8, 3)), r"shape \(2, 8, 8, 3\)"),
        (np.zeros((8, 8, 4)), "expected .H, W, 3."),
        (np.zeros((0, 8, 3)), "shape"),
        (np.zeros((8, 8, 3), np.int64), "type int64"),
        (np.full((8, 8, 3), 200.0), r"outside \[0, 1\]"),
        (np.full((8, 8, 3), np.nan), r"outside \[0, 1\]"),
    ],
)
def test_arrays_that_are_no_photos(pipeline, photo, message):
    with pytest.raises(ValueError, match=message):
        gcnface.reconstruct(photo)


@pytest.mark.parametrize("options", [{"adapt": -1}, {"texture_size": 16}])
def test_options_out_of_range(pipeline, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        gcnface.reconstruct(np.zeros((8, 8, 3), np.float32), **options)


def test_equal_options_share_the_networks(monkeypatch):
    import gcnface.pipeline

    monkeypatch.setattr(gcnface.pipeline, "Reconstructor", lambda *args, **options: object())
    api.load_reconstructor.cache_clear()
    first = api.load_reconstructor(ReconstructionOptions())
    assert api.load_reconstructor(ReconstructionOptions()) is first
    assert api.load_reconstructor(ReconstructionOptions(fit=False)) is not first
    api.load_reconstructor.cache_clear()


@pytest.mark.parametrize("name", gcnface.__all__)
def test_public_names_are_there(name):
    assert getattr(gcnface, name) is not None
    assert name in dir(gcnface)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="nothing"):
        _ = gcnface.nothing


def test_a_photo_that_was_reduced_tells_both_sizes(pipeline, tmp_path, monkeypatch):
    from PIL import Image

    from gcnface.io import decoding

    Image.new("RGB", (400, 300), (255, 0, 0)).save(tmp_path / "me.png")
    assert "file_hw" not in gcnface.reconstruct(tmp_path / "me.png").provenance
    monkeypatch.setattr(decoding, "DECODED_PIXELS", 200 * 150)
    told = gcnface.reconstruct(tmp_path / "me.png").provenance
    assert (told["photo_hw"], told["file_hw"]) == ([150, 200], [300, 400])
    assert pipeline.seen[-1].shape == (150, 200, 3)


@pytest.mark.parametrize("package", ["gcnface", "coarse", "refine", "render"])
def test_types_are_visible_to_users(package):
    """Type checkers read annotations of an installed package only where this file lies; wheels must carry it."""
    root = Path(gcnface.__file__).parents[1]
    assert (root / package / "py.typed").is_file()
    assert '"*" = ["py.typed"]' in (root / "pyproject.toml").read_text(encoding="utf-8")


def test_keywords_are_the_fields_of_the_record():
    record = get_type_hints(ReconstructionOptions)
    assert get_type_hints(api.PhotoKeywords) == {name: kind for name, kind in record.items() if name != "all_faces"}


@pytest.mark.parametrize(("call", "photo"), [(gcnface.reconstruct, "a.jpg"), (gcnface.reconstruct_person, ["a.jpg"])])
def test_options_that_do_not_exist_are_type_errors(call, photo):
    with pytest.raises(TypeError, match="colour"):
        call(photo, colour=3)


def test_several_photos_have_no_adaptation():
    known = "device, detector, fit, texture_size, min_quality, force"
    with pytest.raises(TypeError, match=f"adapt is no option of several photos; give {known}"):
        gcnface.reconstruct_person(["a.jpg"], adapt=3)

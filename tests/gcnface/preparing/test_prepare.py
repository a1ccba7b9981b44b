"""``gcnface prepare``: faces in their place, a reason for each photo left out, the same however it is done."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from coarse.face_model import LANDMARKS5_FROM_468
from gcnface import cli
from gcnface.data.faces import CANVAS_MARGIN_PX, UNKNOWN, load_prepared
from gcnface.errors import GcnfaceError
from gcnface.options import PrepareOptions
from gcnface.photo.crop import TEMPLATE_POINTS5_PX
from gcnface.photo.parsing import PARSING_CLASSES
from gcnface.preparing import dataset
from gcnface.preparing.dataset import prepare
from gcnface.preparing.faces import FacePreparer
from gcnface.preparing.landmarkers import find_landmarks
from tests.gcnface.annotated_folder import write_prepared_faces

DATA = Path(__file__).parents[2] / "data"
ARRAYS = ("canvases", "labels", "landmarks", "canvas_from_photo")


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Photos, and the data set that they become in a part each."""
    folder = tmp_path_factory.mktemp("reference")
    photos = two_photos(folder / "photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "SHARD_FACES", 1)
        prepare(PrepareOptions(photos=[str(photos)], output=folder / "data", embed=False, quiet=True))
    return photos, load_prepared(folder / "data")


@pytest.fixture
def photos(tmp_path):
    return two_photos(tmp_path / "photos")


def two_photos(folder):
    """Two faces, one of them in the folder of its person."""
    (folder / "anna").mkdir(parents=True)
    shutil.copy(DATA / "face.jpg", folder / "anna" / "1.jpg")
    shutil.copy(DATA / "glasses.jpg", folder / "bert.jpg")
    return folder


@pytest.fixture
def options(photos, tmp_path):
    return PrepareOptions(photos=[str(photos)], output=tmp_path / "data", embed=False, quiet=True)


def same(first, second):
    for name in (*ARRAYS, "names", "identities", "files"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


def test_faces_lie_where_they_should_and_the_rest_has_its_reason(photos, tmp_path, capsys):
    (photos / "broken.jpg").write_bytes(b"no picture")
    Image.new("RGB", (90, 60), (30, 90, 200)).save(photos / "sky.png")
    with Image.open(DATA / "face.jpg") as face:
        face.resize((128, 128)).save(photos / "small.png")
    output = tmp_path / "data"
    words = ["prepare", str(photos), "-o", str(output), "--workers", "1", "--min-face", "100"]
    assert cli.main(words) == 0
    faces, told = load_prepared(output), capsys.readouterr().out
    assert faces.names.tolist() == ["anna/1.jpg", "bert.jpg"]
    assert faces.identities.tolist() == ["anna", "bert"]
    dropped = json.loads((output / "report.json").read_text())["dropped"]
    reasons = {Path(drop["file"]).name: drop["reason"] for drop in dropped}
    assert reasons == {"broken.jpg": "unreadable", "sky.png": "no face", "small.png": "face too small"}
    assert all(text in told for text in ("2 faces of 2 people", "sky.png", "dropped 1: face too small"))
    five = np.stack([faces.landmarks[:, list(group), :2].mean(1) for group in LANDMARKS5_FROM_468], 1)
    assert np.linalg.norm(five - CANVAS_MARGIN_PX - TEMPLATE_POINTS5_PX, axis=2).mean() < 8
    assert faces.landmarks[:, 4, 2].max() < faces.landmarks[:, 234, 2].min(), "the nose is nearer than the cheek"
    middle = faces.labels[:, 144, 144]
    assert set(middle.tolist()) <= {PARSING_CLASSES.index("nose"), PARSING_CLASSES.index("skin")}
    np.testing.assert_allclose(np.linalg.norm(faces.embeddings, axis=1), 1, atol=1e-5)
    assert faces.landmarks68 is None
    assert not (output / "shards").exists()


def test_as_many_workers_as_one_likes(reference, tmp_path, monkeypatch):
    photos, alone = reference
    monkeypatch.setattr(dataset, "SHARD_FACES", 1)
    prepare(PrepareOptions(photos=[str(photos)], output=tmp_path / "data", embed=False, quiet=True, workers=2))
    same(alone, load_prepared(tmp_path / "data"))


def test_an_interrupted_call_is_completed(reference, tmp_path, monkeypatch):
    photos, uninterrupted = reference
    monkeypatch.setattr(dataset, "SHARD_FACES", 1)
    options = PrepareOptions(photos=[str(photos)], output=tmp_path / "data", embed=False, quiet=True)
    seen = []

    class Preparer(FacePreparer):
        def __call__(self, sources):
            if len(seen) == 1:
                seen.append("interrupted")
                raise KeyboardInterrupt
            seen.extend(source.name for source in sources)
            return super().__call__(sources)

    monkeypatch.setattr(dataset, "FacePreparer", Preparer)
    with pytest.raises(KeyboardInterrupt):
        prepare(options)
    with pytest.raises(GcnfaceError, match="gcnface prepare"):
        load_prepared(options.output)
    prepare(options)
    assert seen == ["anna/1.jpg", "interrupted", "bert.jpg"]
    same(uninterrupted, load_prepared(options.output))


def test_new_photos_are_added_and_old_ones_left_alone(options, photos, monkeypatch):
    shutil.move(photos / "bert.jpg", photos.parent / "bert.jpg")
    (photos / "broken.jpg").write_bytes(b"no picture")
    assert prepare(options).prepared == 1
    first = load_prepared(options.output).canvases[0].copy()
    shutil.move(photos.parent / "bert.jpg", photos / "aaron.jpg")
    seen = []
    cut = FacePreparer._cut
    monkeypatch.setattr(FacePreparer, "_cut", lambda self, source: seen.append(source.name) or cut(self, source))
    report = prepare(options)
    assert seen == ["aaron.jpg"]
    assert (report.prepared, report.reasons) == (2, {"unreadable": 1})
    faces = load_prepared(options.output)
    assert faces.names.tolist() == ["anna/1.jpg", "aaron.jpg"]
    np.testing.assert_array_equal(faces.canvases[0], first)
    assert prepare(options).prepared == 2
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("change", "option"),
    [({"parsing": "shipped"}, "--parsing"), ({"min_face_px": 20}, "--min-face"), ({"layout": "annotated"}, "--layout")],
)
def test_a_changed_option_is_refused(tmp_path, change, option):
    data = write_prepared_faces(tmp_path)
    same_again = PrepareOptions(
        photos=[str(tmp_path / "annotated")], output=data, parsing="stored", embed=False, min_face_px=1
    )
    assert prepare(same_again).prepared == 7
    with pytest.raises(GcnfaceError, match=f"{option} as before"):
        prepare(replace(same_again, **change))


def test_label_maps_stored_or_drawn(tmp_path):
    stored, shipped = (load_prepared(write_prepared_faces(tmp_path / name, name)) for name in ("stored", "shipped"))
    np.testing.assert_array_equal(stored.canvases, shipped.canvases)
    np.testing.assert_array_equal(stored.landmarks, shipped.landmarks)
    assert (stored.labels == PARSING_CLASSES.index("lips")).any()
    assert (stored.labels != shipped.labels).any()
    np.testing.assert_array_equal(stored.labels == UNKNOWN, shipped.labels == UNKNOWN)


def test_a_photo_without_a_label_map_is_left_out(tmp_path):
    data = write_prepared_faces(tmp_path)
    (tmp_path / "annotated" / "photos_parsing" / "p1.png").unlink()
    folder = str(tmp_path / "annotated")
    report = prepare(
        PrepareOptions(photos=[folder], output=tmp_path / "b", parsing="stored", embed=False, min_face_px=1)
    )
    assert report.reasons == {"no label map": 1}
    assert load_prepared(tmp_path / "b").names.tolist() == [n for n in load_prepared(data).names if n != "p1.png"]


def test_68_landmarks_are_kept_on_the_canvas(tmp_path, detector, portrait):
    folder = tmp_path / "AFW"
    folder.mkdir()
    points5 = detector.detect(portrait)[0].points5
    points = np.random.default_rng(0).uniform(0, 384, (68, 2)).astype(np.float32)
    points[36:42], points[42:48], points[[30, 48, 54]] = points5[0], points5[1], points5[2:]
    shutil.copy(DATA / "face.jpg", folder / "a_0.jpg")
    savemat(folder / "a_0.mat", {"pt2d": points.T})
    wrong = points.copy()
    wrong[48:] += [60, 0]
    shutil.copy(DATA / "face.jpg", folder / "b_0.jpg")
    savemat(folder / "b_0.mat", {"pt2d": wrong.T})
    report = prepare(PrepareOptions(photos=[str(tmp_path)], output=tmp_path / "data", embed=False, quiet=True))
    assert report.reasons == {"landmarks disagree with the five points": 1}
    faces = load_prepared(tmp_path / "data")
    five = faces.landmarks68[0, [30, 48, 54]] - CANVAS_MARGIN_PX
    assert np.linalg.norm(five - TEMPLATE_POINTS5_PX[2:], axis=1).max() < 12
    matrix = faces.canvas_from_photo[0]
    np.testing.assert_allclose(faces.landmarks68[0], points @ matrix[:2, :2].T + matrix[:2, 2], atol=1e-3)


def test_nothing_found_is_a_failure(tmp_path, capsys):
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    assert cli.main(["prepare", str(tmp_path), "-o", str(tmp_path / "data"), "--workers", "1", "--no-embed", "-q"]) == 1
    assert "report.json says why" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--workers", "0"], ["--min-face", "-3"], ["--layout", "lfw"], ["--parsing", "none"]]
)
def test_wrong_words_are_named(words, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["prepare", "x", "-o", "y", *words])
    assert caught.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_an_argument_that_leads_nowhere_is_one_line(tmp_path, capsys):
    assert cli.main(["prepare", str(tmp_path / "nowhere"), "-o", str(tmp_path / "data"), "--no-embed"]) == 1
    assert capsys.readouterr().err.splitlines() == [f"gcnface: {tmp_path}/nowhere: no such file; check the path"]
    assert not (tmp_path / "data").exists()


def test_a_network_that_is_none_is_named(tmp_path):
    (tmp_path / "x.whl").write_bytes(b"no archive")
    with pytest.raises(GcnfaceError, match=r"x\.whl: holds no landmark network"):
        find_landmarks(tmp_path / "x.whl")


def test_no_data_set_names_the_command(tmp_path):
    with pytest.raises(GcnfaceError, match=f"`gcnface prepare PHOTOS -o {tmp_path}`"):
        load_prepared(tmp_path)


def test_parts_that_do_not_belong_together_are_noticed(tmp_path):
    data = write_prepared_faces(tmp_path)
    np.save(data / "labels.npy", np.load(data / "labels.npy")[:3])
    with pytest.raises(GcnfaceError, match=r"labels\.npy has 3 rows, table\.csv 7"):
        load_prepared(data)

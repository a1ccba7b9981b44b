"""The AFLW2000-3D protocol on made-up files: drawn heads whose points are written as the set has them."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from coarse.face_model import load_face_model
from gcnface.cli.program import main as cli
from gcnface.errors import GcnfaceError
from gcnface.evaluation.protocols import aflw2000, annotated
from gcnface.evaluation.protocols.aflw2000 import ALL_COUNT, LARGEST, NEAREST, Aflw2000
from gcnface.evaluation.protocols.annotated import (
    AnnotatedPhoto,
    nearest_face,
    nme_percent,
    overlap,
    read_annotated,
    yaw_bin,
)
from gcnface.evaluation.protocols.rows import ROWS, FacePoints, points_of_face
from gcnface.photo.detection import Detection
from tests.gcnface.dense_stub import Head, drawn


def detection(*box):
    return Detection(np.array(box, np.float32), 0.9, np.zeros((5, 2), np.float32))


def annotation(points, yaw_deg, pitch_deg=0.0):
    return {
        "pt3d_68": np.asarray(points, np.float64).T,
        "Pose_Para": np.array([[np.radians(pitch_deg), np.radians(yaw_deg), 0.1, 1, 2, 3, 1e-4]]),
    }


def write(folder: Path, name: str, head: Head) -> Path:
    """A drawn head and its annotation."""
    model = load_face_model()
    picture = np.rint(drawn(model, [head]) * 255).astype(np.uint8)
    assert cv2.imwrite(str(folder / f"{name}.jpg"), picture[..., ::-1])
    savemat(folder / f"{name}.mat", annotation(head.in_photo(model.landmarks68(model.mean)), head.yaw))
    return folder / f"{name}.jpg"


def test_the_metric_by_hand():
    """A box of 30 x 40 px, side sqrt(1200) = 34.64; two points 5 px off, two exact: 2.5 / 34.64 = 7.217 %."""
    true = np.array([[10.0, 10.0, 99.0], [40.0, 10.0, 0.0], [40.0, 50.0, 0.0], [10.0, 50.0, 0.0]])
    found = true + np.array([[3.0, 4.0, 500.0], [0, 0, 0], [-5.0, 0, 0], [0, 0, -7.0]])
    assert nme_percent(found, true) == pytest.approx(7.2169, abs=1e-3)
    assert nme_percent(found[:, :2], true) == nme_percent(found, true)  # depth does not count


def test_bins_hold_their_upper_end():
    assert [yaw_bin(a) for a in (0, -30, 30.01, -60, 60.01, -90, 120)] == [
        "0-30", "0-30", "30-60", "30-60", "60-90", "60-90", "60-90",
    ]  # fmt: skip


def test_the_annotation_is_read(tmp_path):
    points = np.random.default_rng(0).uniform(50, 300, (68, 3))
    savemat(tmp_path / "a.mat", annotation(points, -47.0, 20.0))
    found = read_annotated(tmp_path / "a.jpg")
    np.testing.assert_allclose(found.points68, points)
    assert found.yaw_deg == pytest.approx(-47.0)  # the second number of Pose_Para, in radians
    assert found.yaw_bin == "30-60"
    np.testing.assert_allclose(found.box, [*points[:, :2].min(0), *points[:, :2].max(0)])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"pt3d_68": np.zeros((3, 21)), "Pose_Para": np.zeros((1, 7))}, r"a\.mat: pt3d_68 has shape \(3, 21\)"),
        ({"pt2d": np.zeros((2, 68))}, r"a\.mat: holds no pt3d_68 and Pose_Para"),
        ({"pt3d_68": np.full((3, 68), np.nan), "Pose_Para": np.zeros((1, 7))}, "not finite"),
    ],
)
def test_other_files_are_told_apart(tmp_path, content, words):
    savemat(tmp_path / "a.mat", content)
    with pytest.raises(GcnfaceError, match=words):
        read_annotated(tmp_path / "a.jpg")


def test_the_face_is_the_one_on_the_true_box():
    box = np.array([0.0, 0.0, 10.0, 10.0])
    assert overlap(np.array([5.0, 0.0, 15.0, 10.0]), box) == pytest.approx(50 / 150)
    large, near = detection(50, 0, 100, 60), detection(1, 1, 10, 12)
    assert nearest_face([large, near], box) is near
    assert nearest_face([large], box) is None
    assert nearest_face([], box) is None


def annotated_photo(name, yaw_deg):
    return AnnotatedPhoto(Path(name), np.zeros((68, 3)), yaw_deg)


def test_bins_weigh_the_same_and_misses_are_told_apart():
    table = Aflw2000()
    for name, yaw, value in (("a", 0, 2.0), ("b", 10, 4.0), ("c", 45, 5.0), ("d", -80, 7.0)):
        errors = dict.fromkeys(ROWS, value)
        table.add(annotated_photo(name, yaw), {NEAREST: errors, LARGEST: errors})
    table.add(annotated_photo("e", 70), {})
    cells = table.cells(NEAREST, "align")
    assert (cells["0-30"], cells["30-60"], cells["60-90"]) == (3.0, 5.0, 7.0)
    assert cells["mean"] == 5.0
    assert cells["std"] == pytest.approx(np.std([3, 5, 7]))
    assert cells["all"] == 4.5
    assert table.cells(ALL_COUNT, "align")["60-90"] == (7 + 100) / 2
    assert table.missed == ["e"]
    assert "| face not found | 0 | 0 | 1 | | | 1 |" in table.markdown()
    assert "| align, nearest to the true box | 3.00 | 5.00 | 7.00 | 5.00 | 1.63 | 4.50 |" in table.markdown()


def test_a_wrong_largest_face_counts_in_its_own_row_alone():
    table = Aflw2000()
    table.add(annotated_photo("a", 0), {NEAREST: dict.fromkeys(ROWS, 3.0), LARGEST: dict.fromkeys(ROWS, 80.0)})
    assert table.cells(NEAREST, "fit")["0-30"] == 3.0
    assert table.cells(LARGEST, "fit")["0-30"] == 80.0
    assert table.cells(ALL_COUNT, "fit")["0-30"] == 3.0


def test_annotated_photos_are_found_beside_bare_ones(tmp_path):
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((40, 40, 3), np.uint8))
    savemat(tmp_path / "a.mat", {})
    found = annotated.find_annotated([str(tmp_path)])
    assert [file.name for file in found.files] == ["a.png"]
    assert [file.name for file in found.bare] == ["b.png"]


@pytest.fixture
def known_points(monkeypatch):
    """Faces are found where the points are, and every row's points are 4 px to the right of the true ones."""

    class Stub:
        def __init__(self, options):
            self.detector, self.stages = self, None

        def detect(self, photo):
            return [detection(0, 0, photo.shape[1], photo.shape[0])] if photo.max() > 0.2 else []

    true = {}
    read = annotated.read_annotated

    def remembered(file):
        true["points"] = read(file).points68
        return read(file)

    monkeypatch.setattr(aflw2000, "Reconstructor", Stub)
    monkeypatch.setattr(aflw2000, "read_annotated", remembered)

    def shifted(*_):
        points = true["points"] + [4.0, 0.0, 9.0]
        return dict.fromkeys(ROWS, FacePoints(points[:, :2], np.zeros((468, 2))))

    monkeypatch.setattr(aflw2000, "points_of_face", shifted)


def test_the_command_writes_the_table(tmp_path, known_points, capsys):
    folder = tmp_path / "set"
    folder.mkdir()
    for name, yaw in (("a", 10.0), ("b", 50.0), ("c", 75.0)):
        write(folder, name, Head(yaw, 0, 0, 1.2, (280.0, 210.0, 0.0)))
    cv2.imwrite(str(folder / "dark.jpg"), np.zeros((90, 90, 3), np.uint8))
    savemat(folder / "dark.mat", annotation(np.random.default_rng(0).uniform(0, 90, (68, 3)), 5.0))
    assert cli(["evaluate", str(folder), "--protocol", "aflw2000", "-o", str(tmp_path / "report")]) == 0
    table = json.loads((tmp_path / "report" / "table.json").read_text())
    side = np.sqrt(np.prod(np.ptp(read_annotated(folder / "a.jpg").points68[:, :2], axis=0)))
    assert table["percent"][NEAREST]["align"]["0-30"] == pytest.approx(400 / side)
    assert [Path(name).name for name in table["not_found"]] == ["dark.jpg"]
    assert table["photos"] == {"0-30": 2, "30-60": 1, "60-90": 1}
    out = capsys.readouterr().out
    assert "AFLW2000-3D" in out
    assert (tmp_path / "report" / "table.md").read_text() in out
    assert len((tmp_path / "report" / "metrics.csv").read_text().splitlines()) == 1 + 2 * 3 * 3


def test_a_broken_annotation_costs_its_photo_alone(tmp_path, known_points, capsys):
    write(tmp_path, "a", Head(10.0, 0, 0, 1.2, (280.0, 210.0, 0.0)))
    write(tmp_path, "b", Head(10.0, 0, 0, 1.2, (280.0, 210.0, 0.0)))
    (tmp_path / "b.mat").write_bytes(b"no matlab")
    assert cli(["evaluate", str(tmp_path), "--protocol", "aflw2000", "-o", str(tmp_path / "out")]) == 1
    assert "b.mat: holds no pt3d_68" in capsys.readouterr().err
    assert json.loads((tmp_path / "out" / "table.json").read_text())["photos"]["0-30"] == 1


def test_a_folder_without_annotations_is_one_line(tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((40, 40, 3), np.uint8))
    assert cli(["evaluate", str(tmp_path), "--protocol", "aflw2000", "-o", str(tmp_path / "out")]) == 1
    assert "NAME.mat beside NAME.jpg" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_portrait_is_measured_by_the_shipped_networks(reconstructor, portrait):
    face = reconstructor.detector.detect(portrait)[0]
    points = points_of_face(reconstructor.stages, portrait, face)
    assert tuple(points) == ROWS
    for row in ROWS:
        assert nme_percent(points[row].points68, points["fit"].points68) < 5
        assert nme_percent(points[row].points468, points["fit"].points468) < 5

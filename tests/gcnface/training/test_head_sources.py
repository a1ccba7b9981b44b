"""Rendered heads know the faces they were made from; labels and features know both, the face model and the backbone."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from coarse.coefficients import CoefficientLayout
from coarse.regressor import CoefficientRegressor, ResNetConfig
from gcnface.building import rendered_heads
from gcnface.data.faces import PreparedFaces
from gcnface.data.heads import load_heads, save_heads, source_of
from gcnface.errors import FileError
from gcnface.training import person_views
from gcnface.training.person_views import Labels, prepare_views
from tests.gcnface.head_folder import SOURCES, write_heads

RANDOM = np.random.default_rng(1)
CANVASES = RANDOM.integers(0, 255, (5, 288, 288, 3), np.uint8)
LANDMARKS = RANDOM.uniform(40, 240, (5, 468, 3)).astype(np.float32)


def prepared(order=(0, 1, 2, 3), landmarks=LANDMARKS):
    rows = list(order)
    people = np.array(["anna", "anna", "ben", "cleo", "dora"])[rows]
    return PreparedFaces(
        canvases=CANVASES[rows],
        labels=np.zeros((len(rows), 288, 288), np.uint8),
        landmarks=landmarks[rows],
        names=people,
        drawn=np.zeros(len(rows), bool),
        validation=people == "cleo",
        identities=people,
    )


@pytest.fixture
def folder(tmp_path):
    """Heads of faces 0, 2 and 3."""
    folder = write_heads(tmp_path / "heads")
    sources = np.array([source_of(prepared(), row) for row in SOURCES])
    save_heads(replace(load_heads(folder), source=sources), folder)
    return folder


def test_heads_are_taken_with_their_own_faces(folder):
    assert len(load_heads(folder)) == len(load_heads(folder, prepared())) == len(SOURCES)
    load_heads(folder, prepared((0, 1, 2, 3, 4)))  # a face that was added comes last
    load_heads(folder, prepared((0, 4, 2, 3)))  # nobody asks who has no head


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2, 3), (0, 1, 3, 2), (4, 1, 2, 3), (0, 1, 2, 4)])
def test_other_faces_are_refused(folder, order):
    with pytest.raises(FileError, match=r"heads: holds heads that were made from other prepared faces; make them"):
        load_heads(folder, prepared(order))


def test_the_same_people_cut_otherwise_are_refused(folder):
    moved = LANDMARKS.copy()
    moved[3, 7, 1] += 0.25
    with pytest.raises(FileError, match="other prepared faces"):
        load_heads(folder, prepared(landmarks=moved))


def test_heads_that_do_not_tell_are_held_to_the_number_of_faces(tmp_path):
    folder = write_heads(tmp_path / "heads")
    assert load_heads(folder, prepared()).source is None
    with pytest.raises(FileError, match="other prepared faces"):
        load_heads(folder, prepared((0, 1, 2)))


def test_fewer_canvases_than_rows_are_refused(folder):
    np.save(folder / "canvases.npy", np.zeros((2, 288, 288, 3), np.uint8))
    with pytest.raises(FileError, match="2 canvases, 9 rows"):
        load_heads(folder)


def test_a_rendering_that_breaks_off_leaves_no_heads(folder, monkeypatch):
    def broken(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(rendered_heads, "load_prepared", lambda data: prepared())
    monkeypatch.setattr(rendered_heads, "ProcessPoolExecutor", broken)
    with pytest.raises(KeyboardInterrupt):
        rendered_heads.render_heads(folder, folder, rendered_heads.RenderedViews(people=3, views=3))
    with pytest.raises(FileError, match="holds no rendered heads"):
        load_heads(folder)


LAYOUT = CoefficientLayout(identity=3, expression=2, albedo=2)


@dataclass(frozen=True)
class SmallModel:
    name: str = "small"
    cage: None = None


@pytest.fixture
def computed(monkeypatch):
    """What was computed, in order; a label of a picture is the number of computations so far."""
    done = []

    def labels(model, faces, rows, heads):
        done.append("labels")
        count = len(rows) + len(heads)
        column = torch.full((count, 1), float(len(done)))
        person = torch.zeros(count, dtype=torch.int64)
        return Labels(column, column[:, 0], column, column, person, person > 0, person > 0)

    def features(faces, rows, heads, regressor, windows):
        done.append("features")
        count = len(rows) + len(heads)
        shape = (windows, count, 4)
        return {"features": np.full(shape, len(done), np.float32), "landmarks": np.zeros((windows, count, 468, 2))}

    monkeypatch.setattr(person_views, "load_face_model", SmallModel)
    monkeypatch.setattr(person_views, "compute_labels", labels)
    monkeypatch.setattr(person_views, "_features", features)
    return done


def regressor(seed=0):
    torch.manual_seed(seed)
    return CoefficientRegressor(LAYOUT, ResNetConfig(width=2))


def test_labels_and_features_are_computed_once(folder, computed, tmp_path):
    one = prepare_views(prepared(), load_heads(folder), regressor(), tmp_path / "views", 2)
    two = prepare_views(prepared(), load_heads(folder), regressor(), tmp_path / "views", 2)
    assert computed == ["labels", "features"]
    assert torch.equal(one.labels.fitted, two.labels.fitted)
    assert torch.equal(one.features, two.features)


def changed(folder, what):
    """The arguments of `prepare_views` but for the folder, one of them another."""
    faces, heads, network, windows = prepared(), load_heads(folder), regressor(), 2
    if what == "landmarks":
        faces = replace(faces, landmarks=faces.landmarks + np.float32(0.25))
    elif what == "identity":
        faces = replace(faces, identities=np.array(["anna", "ben", "ben", "cleo"]))
    elif what == "pixel":
        canvases = faces.canvases.copy()
        canvases[1, 5, 5, 0] ^= 1
        faces = replace(faces, canvases=canvases)
    elif what == "parsing":
        faces = replace(faces, labels=faces.labels + np.uint8(1))
    elif what == "head":
        heads = replace(heads, identity=heads.identity + np.float32(1e-3))
    elif what == "head_pixel":
        canvases = np.array(heads.canvases)
        canvases[-1, 5, 5, 0] ^= 1
        heads = replace(heads, canvases=canvases)
    elif what == "backbone":
        network = regressor(1)
    elif what == "windows":
        windows = 3
    return faces, heads, network, windows


@pytest.mark.parametrize(
    ("what", "again"),
    [
        *[(w, ["labels", "features"]) for w in ("landmarks", "identity", "pixel", "parsing", "head", "head_pixel")],
        *[(w, ["features"]) for w in ("backbone", "windows")],
        *[(w, ["labels", "features"]) for w in ("code", "version")],
        ("model", ["labels"]),
    ],
)
def test_what_was_made_from_something_else_is_not_used(folder, computed, tmp_path, monkeypatch, what, again):
    def prepare(what):
        faces, heads, network, windows = changed(folder, what)
        return prepare_views(faces, heads, network, tmp_path / "views", windows)

    before = prepare("nothing")
    with monkeypatch.context() as patch:
        if what == "code":
            patch.setattr(person_views, "CODE_VERSION", 2)
        elif what == "version":
            patch.setattr("gcnface.data.caches.__version__", "next")
        elif what == "model":
            patch.setattr(person_views, "load_face_model", lambda: SmallModel("another"))
        prepare(what)
    assert computed == ["labels", "features", *again]
    assert torch.equal(prepare("nothing").labels.fitted, before.labels.fitted)
    assert len(computed) == 2 + len(again), "what was kept first is still there"


def test_a_damaged_file_is_named(folder, computed, tmp_path):
    prepare_views(prepared(), load_heads(folder), regressor(), tmp_path / "views", 1)
    path = next((tmp_path / "views").glob("labels-*.npz"))
    path.write_bytes(path.read_bytes()[:99])
    with pytest.raises(FileError, match=rf"{path.name}: is a damaged cache; delete it"):
        prepare_views(prepared(), load_heads(folder), regressor(), tmp_path / "views", 1)

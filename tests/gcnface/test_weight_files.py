"""Every file of weights, damaged in every way: one error that names the file and the remedy, and nothing unpickled."""

import os
import pickle
import struct
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from coarse import confidence, face_model, position_network, regressor, skin_tone
from coarse.morphable import layout_of
from coarse.position_map import PositionMapLayout
from coarse.spatial_transformer import localizer as localizer
from coarse.spatial_transformer.theta import theta_layout_of
from coarse.weights import fill, read_state
from gcnface import cli
from gcnface.errors import WeightsError
from gcnface.evaluation.identity_networks import sface
from gcnface.photo.parsing import load_parser, read_parser
from gcnface.preparing.landmarkers import MediaPipeLandmarker, find_landmarks
from refine.facenet import load_facenet
from refine.stored import REFINER_WEIGHTS, load_refiner

PARSER_WEIGHTS = Path(cli.__file__).parents[1] / "assets" / "parser.safetensors"

model = cache(face_model.load_face_model)


@cache
def backbone():
    return regressor.load_regressor(layout_of(model()))


SAFETENSORS: dict[str, tuple[Path, Callable[[Path], object]]] = {
    "regressor": (regressor.SHIPPED_WEIGHTS, lambda path: regressor.load_regressor(layout_of(model()), path)),
    "confidence": (confidence.SHIPPED_WEIGHTS, lambda path: confidence.load_confidence(backbone(), path)),
    "skin_tone": (skin_tone.SKIN_TONE_WEIGHTS, skin_tone.load_skin_tone),
    "position_map": (
        position_network.SHIPPED_WEIGHTS,
        lambda path: position_network.load_position_map_network(PositionMapLayout(model()), path),
    ),
    "localiser": (localizer.SHIPPED_WEIGHTS, lambda path: localizer.load_localizer(theta_layout_of(model()), path)),
    "parser": (PARSER_WEIGHTS, load_parser),
    "parser_to_train": (PARSER_WEIGHTS, read_parser),
    "refiner": (REFINER_WEIGHTS, lambda path: load_refiner(model(), path)),
}
OTHERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "facenet_state": ("state.pt", load_facenet),
    "facenet_graph": ("graph.pb", load_facenet),
    "teacher": ("teacher.pth", lambda path: fill(torch.nn.Linear(2, 2), read_state(path, "weights"), path, "weights")),
    "face_model": ("model.npz", face_model.load_face_model),
    "landmarks": ("face_landmark.tflite", MediaPipeLandmarker),
    "landmark_wheel": ("mediapipe.whl", MediaPipeLandmarker),
    "named_landmarks": ("face_landmark.tflite", find_landmarks),
    "sface": ("sface.onnx", lambda path: sface(None, path)),
}


class Executed:
    """Unpickled, it makes the folder of its name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def missing(path: Path) -> None:
    """Nothing is written."""


def zip_of_state(path: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, path)


def pickled(path: Path) -> None:
    torch.save({"weight": Executed(path.parent / "executed")}, path)


def plain_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"weight": Executed(path.parent / "executed")}))


def pickled_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([Executed(path.parent / "executed")], object), allow_pickle=True)


def pickled_arrays(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, mirror=np.array([Executed(path.parent / "executed")], object))


def foreign(path: Path) -> None:
    save_file({"weight": torch.zeros(1)}, path)


BYTES = {
    "empty": b"",
    "page": b"<!DOCTYPE html><html><body>404 Not Found</body></html>" * 40,
    "zeros": bytes(4096),
    "noise": np.random.default_rng(0).bytes(4096),
    "long_header": struct.pack("<Q", 1 << 60) + b"{}",
    "lying_header": struct.pack("<Q", 71)
    + b'{"weight":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4]}}'
    + bytes(4),
    "beyond_its_end": struct.pack("<Q", 71)
    + b'{"weight":{"dtype":"F32","shape":[1],"data_offsets":[1048576,1048580]}}'
    + bytes(4),
}
WRITERS: dict[str, Callable[[Path], object]] = {
    "missing": missing,
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "state": zip_of_state,
    "pickle": plain_pickle,
    "torch_pickle": pickled,
    "numpy_pickle": pickled_array,
    "numpy_pickles": pickled_arrays,
    "foreign": foreign,
    **{name: lambda path, content=content: path.write_bytes(content) for name, content in BYTES.items()},
}


def refused(load: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert "; " in text, "a remedy follows"
    assert not (path.parent / "executed").exists(), "nothing in a file is ever executed"
    return text


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("name", [*SAFETENSORS, *OTHERS])
def test_what_is_no_file_of_weights_is_refused(tmp_path, name, kind):
    file, load = OTHERS[name] if name in OTHERS else ("net.safetensors", SAFETENSORS[name][1])
    path = tmp_path / file
    WRITERS[kind](path)
    text = refused(load, path)
    assert kind != "missing" or "are missing; " in text


def altered(name: str, value: torch.Tensor, kind: str) -> torch.Tensor | None:
    return {
        "nan": torch.full_like(value, float("nan")),
        "infinite": torch.full_like(value, float("inf")),
        "transposed": value.flatten()[None].contiguous(),
        "whole": value.to(torch.int32),
        "absent": None,
    }[kind]


@pytest.mark.parametrize("kind", ["nan", "infinite", "transposed", "whole", "absent", "more", "truncated", "longer"])
@pytest.mark.parametrize("name", SAFETENSORS)
def test_weights_with_one_thing_wrong_are_refused(tmp_path, name, kind):
    shipped, load = SAFETENSORS[name]
    path = tmp_path / "net.safetensors"
    if kind in ("truncated", "longer"):
        content = shipped.read_bytes()
        path.write_bytes(content[: len(content) // 2] if kind == "truncated" else content + bytes(8))
        refused(load, path)
        return
    weights = load_file(shipped)
    key = next(k for k, v in weights.items() if v.is_floating_point() and v.ndim)
    if kind == "more":
        weights["unheard_of"] = torch.zeros(2)
    else:
        new = altered(key, weights.pop(key), kind)
        weights |= {} if new is None else {key: new}
    with safe_open(shipped, "pt") as file:
        save_file(weights, path, file.metadata())
    text = refused(load, path)
    assert ("unheard_of" if kind == "more" else key) in text


@pytest.mark.parametrize(
    "config",
    [
        *("{", "[]", "3", "null", '"x"', "[" * 100000),
        *('{"colour": 3}', '{"completion": 3}', '{"completion": {"order": "x"}}', '{"detail_limit": null}'),
        '{"completion": {"channels": [1, 2]}}',
        '{"completion": {"channels": [1000000000, 8, 8, 8, 1000000000]}}',
    ],
)
def test_refiners_with_an_impossible_configuration_are_refused(tmp_path, config):
    path = tmp_path / "net.safetensors"
    save_file({"weight": torch.zeros(1)}, path, {"config": config})
    refused(partial(load_refiner, model()), path)


def test_a_refused_file_leaves_the_network_as_it_was(tmp_path):
    network = torch.nn.Linear(2, 2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    weights = {"weight": torch.ones(2, 2), "bias": torch.tensor([0.0, float("nan")])}
    with pytest.raises(WeightsError, match="bias holds numbers that are not finite"):
        fill(network, weights, Path(__file__), "weights")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def arrays_of_the_model() -> dict[str, np.ndarray]:
    with np.load(face_model.DEFAULT_FACE_MODEL) as archive:
        return dict(archive)


ALTERED_ARRAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "cage_mean": lambda a: np.full_like(a, np.nan),
    "albedo_basis": lambda a: np.full_like(a, np.inf),
    "stage0_indices": lambda a: np.full_like(a, 65535),
    "stage0_indptr": lambda a: a[::-1],
    "faces": lambda a: a + 10**6,
    "mirror": lambda a: a.astype(np.float32),
    "uv_faces": lambda a: a - 7,
    "chart_faces": lambda a: a + 10**6,
    "landmarks468_face": lambda a: a + 10**6,
    "landmarks468_bary": lambda a: a[:5],
    "landmarks68_face": lambda a: a - 10**6,
    "landmarks68_bary": lambda a: a[:5],
    "level0_up_index": lambda a: a + 10**6,
    "level1_faces": lambda a: a + 10**6,
    "level1_up_weight": lambda a: a[:5],
    "expression_names": lambda a: a[:5],
}


@pytest.mark.parametrize("name", ALTERED_ARRAYS)
def test_face_models_with_one_thing_wrong_are_refused(tmp_path, name):
    arrays = arrays_of_the_model()
    np.savez(tmp_path / "model.npz", **{**arrays, name: ALTERED_ARRAYS[name](arrays[name])})
    refused(face_model.load_face_model, tmp_path / "model.npz")


def test_a_truncated_face_model_is_refused(tmp_path):
    content = face_model.DEFAULT_FACE_MODEL.read_bytes()
    (tmp_path / "model.npz").write_bytes(content[: len(content) // 2])
    refused(face_model.load_face_model, tmp_path / "model.npz")


@pytest.mark.parametrize("kind", ["missing", "folder", "page", "torch_pickle"])
def test_the_command_line_says_it_in_one_line(tmp_path, capsys, kind):
    path, photos = tmp_path / "face_landmark.tflite", tmp_path / "photos"
    WRITERS[kind](path)
    photos.mkdir()
    (photos / "a.jpg").write_bytes((Path(__file__).parents[1] / "data" / "face.jpg").read_bytes())
    words = ["prepare", str(photos), "-o", str(tmp_path / "out"), "--landmarks", str(path)]
    assert cli.main(words) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"gcnface: {path}: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err

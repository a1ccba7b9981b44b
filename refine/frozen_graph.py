"""The constants of a frozen TensorFlow graph, read without TensorFlow.

Only what such a file needs of the protocol-buffer wire format: a message is a row of (field number, wire type) keys
with varint, fixed or length-delimited values. Field numbers are those of TensorFlow's graph.proto, node_def.proto,
attr_value.proto and tensor.proto.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_GRAPH_NODE = 1
_NODE_NAME, _NODE_OP, _NODE_ATTR = 1, 2, 5
_ATTR_KEY, _ATTR_VALUE, _VALUE_TENSOR = 1, 2, 8
_TENSOR_TYPE, _TENSOR_SHAPE, _TENSOR_CONTENT, _TENSOR_FLOATS = 1, 2, 4, 5
_SHAPE_DIM, _DIM_SIZE = 2, 1
_DT_FLOAT = 1


def read_constants(content: bytes) -> dict[str, Tensor]:
    """The float32 constants of a GraphDef by node name."""
    found = {}
    for number, node in _fields(memoryview(content)):
        name, tensor = _constant(node) if number == _GRAPH_NODE else ("", None)
        if tensor is not None:
            found[name] = tensor
    return found


def _constant(node: memoryview) -> tuple[str, Tensor | None]:
    name, operation, value = "", "", None
    for number, part in _fields(node):
        if number == _NODE_NAME:
            name = bytes(part).decode()
        elif number == _NODE_OP:
            operation = bytes(part).decode()
        elif number == _NODE_ATTR:
            entry = dict(_fields(part))
            if bytes(entry[_ATTR_KEY]) == b"value":
                value = dict(_fields(entry[_ATTR_VALUE])).get(_VALUE_TENSOR)
    if operation != "Const" or value is None:
        return name, None
    return name, _tensor(value)


def _tensor(message: memoryview) -> Tensor | None:
    """A float tensor, or None when it has another type."""
    parts = dict(_fields(message))
    if parts.get(_TENSOR_TYPE) != _DT_FLOAT:
        return None
    shape: list[int] = []
    for number, dim in _fields(parts.get(_TENSOR_SHAPE, memoryview(b""))):
        if number == _SHAPE_DIM:
            shape.append(int(dict(_fields(dim)).get(_DIM_SIZE, 0)))  # type: ignore[call-overload]
    raw = parts.get(_TENSOR_CONTENT, parts.get(_TENSOR_FLOATS, b""))
    values = np.frombuffer(raw, "<f4")
    if values.size != int(np.prod(shape)):
        values = np.full(shape, values[0] if values.size else 0.0, np.float32)
    return torch.from_numpy(values.reshape(shape).copy())


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Field numbers and values of a message; varints come as int, the rest as bytes."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, position = _varint(message, position)
            yield number, value  # type: ignore[misc]
            continue
        if kind == _LENGTH:
            length, position = _varint(message, position)
        else:
            length = {_FIXED64: 8, _FIXED32: 4}[kind]
        yield number, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    result, shift = 0, 0
    while True:
        byte = message[position]
        position += 1
        result |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return result, position

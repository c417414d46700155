"""An ONNX tagger with given weights, written directly as protocol buffer bytes.

This avoids a package that would bring compilers with it. The network takes the mean colour of an
image, B, G and R from 0 to 1, and returns sigmoid(colour @ weights + bias). The field numbers are
those of onnx.proto (https://github.com/onnx/onnx, IR version 8).
"""

import csv
import struct
from collections.abc import Sequence
from pathlib import Path

_FLOAT = 1  # TensorProto.DataType
_INT, _INTS = 2, 7  # AttributeProto.AttributeType

Tag = tuple[str, int, Sequence[float], float]
"""A tag's name, the number of its category, its weights for B, G and R, and its bias."""


def write_tagger(
    folder: Path, tags: Sequence[Tag], *, side: int | None = 8, batch: int | None = None
) -> Path:
    """Write `model.onnx` and `selected_tags.csv`, and return their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(tagger_bytes(tags, side=side, batch=batch))
    with (folder / "selected_tags.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["tag_id", "name", "category", "count"])
        writer.writerows((n, name, category, 1) for n, (name, category, *_) in enumerate(tags))
    return folder


def tagger_bytes(
    tags: Sequence[Tag],
    *,
    side: int | None = 8,
    batch: int | None = None,
    channels_first: bool = False,
    sigmoid: bool = True,
) -> bytes:
    """Return the model alone. Sides and batches that are None are open."""
    weights = [own[channel] / 255 for channel in range(3) for *_, own, _ in tags]
    shape = [batch, 3, side, side] if channels_first else [batch, side, side, 3]
    last = "logits" if sigmoid else "output"
    nodes = [
        _node(
            "ReduceMean", ["input"], ["mean"], axes=[2, 3] if channels_first else [1, 2], keepdims=0
        ),
        _node("MatMul", ["mean", "weights"], ["product"]),
        _node("Add", ["product", "bias"], [last]),
    ]
    if sigmoid:
        nodes.append(_node("Sigmoid", ["logits"], ["output"]))
    graph = b"".join(
        [
            *(_field(1, node) for node in nodes),
            _field(2, b"tagger"),
            _field(5, _tensor("weights", [3, len(tags)], weights)),
            _field(5, _tensor("bias", [len(tags)], [bias for *_, bias in tags])),
            _field(11, _value("input", shape)),
            _field(12, _value("output", [batch, len(tags)])),
        ]
    )
    return _number(1, 8) + _field(8, _number(2, 13)) + _field(7, graph)


def _node(kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: object) -> bytes:
    parts = [_field(1, name.encode()) for name in inputs]
    parts += [_field(2, name.encode()) for name in outputs]
    parts.append(_field(4, kind.encode()))
    for name, value in attributes.items():
        own = _field(1, name.encode())
        if isinstance(value, int):
            own += _number(3, value) + _number(20, _INT)
        else:
            own += b"".join(_number(8, one) for one in value) + _number(20, _INTS)
        parts.append(_field(5, own))
    return b"".join(parts)


def _tensor(name: str, shape: Sequence[int], values: Sequence[float]) -> bytes:
    sizes = b"".join(_number(1, size) for size in shape)
    data = struct.pack(f"<{len(values)}f", *values)
    return sizes + _number(2, _FLOAT) + _field(8, name.encode()) + _field(9, data)


def _value(name: str, shape: Sequence[int | None]) -> bytes:
    sizes = b"".join(
        _field(1, _field(2, b"open%d" % n) if size is None else _number(1, size))
        for n, size in enumerate(shape)
    )
    kind = _field(1, _number(1, _FLOAT) + _field(2, sizes))
    return _field(1, name.encode()) + _field(2, kind)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])

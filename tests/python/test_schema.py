"""Schemas and fields: what they say, check, and are kept as."""

import json
import pickle
from pathlib import Path

import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace.errors import Corrupt, InvalidArgument, Unsupported

SCHEMA = hr.Schema(
    [
        hr.Field("image", "uint8", (None, None, 3), codec="jpeg"),
        hr.Field("embedding", "float32", (128,)),
        hr.Field("tokens", "int32", (None,), codec="arrow"),
        hr.Field("grid", "int8", (None, None), codec="arrow"),
        hr.Field("patch", "float64", (2, 2), codec="arrow"),
        hr.Field("label", "int64", nullable=False),
        hr.Field("name", "string"),
    ]
)


def test_what_is_left_open_is_filled_in() -> None:
    assert SCHEMA["image"].quality == 90
    assert SCHEMA["embedding"].codec == "raw"
    assert SCHEMA["label"].codec == "arrow"
    assert hr.Field("x", "uint8", (None, 2)).codec == "raw"
    assert hr.Field("x", "uint8", (None, None)).codec == "npy"
    assert (
        repr(SCHEMA["embedding"]) == 'Field("embedding", "float32", (128,), codec="raw")'
    )
    assert (
        repr(hr.Schema([hr.Field("n", "int8")]))
        == 'Schema([\n    Field("n", "int8"),\n])'
    )
    assert [field.name for field in SCHEMA] == list(SCHEMA._names())
    assert len(SCHEMA) == 7
    with pytest.raises(KeyError):
        SCHEMA["missing"]


def test_json_and_pickles_are_equal() -> None:
    assert hr.Schema.from_json(SCHEMA.to_json()) == SCHEMA
    assert pickle.loads(pickle.dumps(SCHEMA)) == SCHEMA
    assert hash(hr.Schema.from_json(SCHEMA.to_json())) == hash(SCHEMA)
    assert hr.Schema(reversed(SCHEMA.fields)) != SCHEMA


def test_arrow_and_parquet_keep_it(tmp_path: Path) -> None:
    assert hr.Schema.from_arrow(SCHEMA.to_arrow()) == SCHEMA
    pq.write_table(SCHEMA.to_arrow().empty_table(), tmp_path / "a.parquet")
    found = hr.Schema.from_arrow(hr.open(tmp_path))
    # Parquet keeps the fields that are encoded; the others are told by their types.
    assert found["image"] == SCHEMA["image"]
    assert found["embedding"] == SCHEMA["embedding"]
    assert found["label"] == SCHEMA["label"]


def test_types_tell_fields_where_there_are_no_metadata() -> None:
    vector = pa.struct(
        {
            "type": pa.int8(),
            "size": pa.int32(),
            "indices": pa.list_(pa.int32()),
            "values": pa.list_(pa.float64()),
        }
    )
    arrow = pa.schema(
        {
            "a": pa.float32(),
            "b": pa.list_(pa.int16()),
            "c": pa.list_(pa.list_(pa.int16(), 3)),
            "d": pa.fixed_shape_tensor(pa.uint8(), (2, 3)),
            "e": pa.dictionary(pa.int32(), pa.string()),
            "f": pa.binary(),
            "g": pa.map_(pa.string(), pa.int8()),
            "v": vector,
        }
    )
    found = hr.Schema.from_arrow(arrow)
    assert {field.name: (field.dtype, field.shape) for field in found} == {
        "a": ("float32", ()),
        "b": ("int16", (None,)),
        "c": ("int16", (None, 3)),
        "d": ("uint8", (2, 3)),
        "e": ("string", ()),
        "f": ("binary", ()),
        "v": ("float64", (None,)),
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dtype": "float8"}, "float8"),
        ({"dtype": "float32", "codec": "gzip"}, 'codec is "gzip", expected raw, npy'),
        ({"dtype": "float32", "shape": (2, 2, 3), "codec": "jpeg"}, "stores uint8"),
        ({"dtype": "uint8", "shape": (2, 2, 4), "codec": "jpeg"}, "1 or 3 channels"),
        ({"dtype": "uint16", "shape": (2, 2, 3), "codec": "webp"}, "stores uint8"),
        ({"dtype": "uint8", "shape": (2,), "codec": "png"}, "height, width"),
        ({"dtype": "uint8", "shape": (None, None), "codec": "raw"}, "at most one"),
        ({"dtype": "bfloat16", "shape": (2,), "codec": "npy"}, "no bfloat16"),
        ({"dtype": "string", "shape": (2,)}, "scalar"),
        ({"dtype": "string", "codec": "zstd"}, "takes no codec"),
        ({"dtype": "uint8", "shape": (2, 2), "codec": "png", "quality": 3}, "quality"),
        ({"dtype": "uint8", "shape": (-1,)}, "at least 0"),
        ({"dtype": "uint8", "shape": 3}, "a tuple"),
        ({"dtype": 3}, "dtype is 3"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        hr.Field("x", **arguments)  # type: ignore[arg-type]


def test_names_differ() -> None:
    with pytest.raises(InvalidArgument, match='two fields "x"'):
        hr.Schema([hr.Field("x", "int8"), hr.Field("x", "int16")])
    with pytest.raises(InvalidArgument, match=r"fields\[0\]"):
        hr.Schema(["x"])  # type: ignore[list-item]


def test_metadata_that_are_no_fields_are_refused(tmp_path: Path) -> None:
    def lake(text: str) -> pa.Schema:
        return pa.schema([pa.field("x", pa.binary(), metadata={"headrace.field": text})])

    with pytest.raises(Corrupt, match=r'column "x".*no field'):
        hr.Schema.from_arrow(lake("{"))
    with pytest.raises(Corrupt, match="codec"):
        hr.Schema.from_arrow(
            lake(json.dumps({"format": 1, "dtype": "int8", "shape": [2], "codec": "z"}))
        )
    with pytest.raises(Unsupported, match="format 9"):
        hr.Schema.from_arrow(
            lake(json.dumps({"format": 9, "dtype": "int8", "shape": [2], "codec": "raw"}))
        )
    with pytest.raises(InvalidArgument, match="not a schema's JSON"):
        hr.Schema.from_json("[]")


def test_fields_of_arrow_are_read_as_tensors(tmp_path: Path) -> None:
    grid = [np.arange(i * 2, dtype=np.int8).reshape(i, 2) for i in (1, 3)]
    schema = hr.Schema(
        [
            hr.Field("patch", "float64", (2, 2), codec="arrow"),
            hr.Field("tokens", "int32", (None,), codec="arrow"),
            hr.Field("n", "int16"),
            hr.Field("t", "string"),
        ]
    )
    table = schema.encode(
        {
            "patch": [np.eye(2), np.ones((2, 2))],
            "tokens": [grid[0].ravel(), grid[1].ravel()],
            "n": np.array([1, 2], np.int16),
            "t": ["a", None],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    dataset = hr.open(tmp_path).ragged({"tokens": hr.pad(-1)}).nulls({"t": hr.fill("")})
    with dataset.loader(batch_size=2, shuffle=False) as loader:
        (batch,) = loader
    assert batch["patch"].tolist() == [np.eye(2).tolist(), np.ones((2, 2)).tolist()]
    assert batch["tokens"].tolist() == [[0, 1, -1, -1, -1, -1], [0, 1, 2, 3, 4, 5]]
    assert batch["t"].tolist() == ["a", ""]

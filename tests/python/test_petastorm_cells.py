"""Cells that the real Petastorm wrote decode to what it read back."""

import hashlib
import json
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import pyarrow.parquet as pq
import pytest

STORES = Path(__file__).resolve().parents[1] / "data" / "petastorm"
CODECS = {"NdarrayCodec()": "npy", "CompressedNdarrayCodec()": "npz"}
#: What numpy has and no tensor.
NO_TENSORS = ("complex64", "str_", "bytes_")


def expected(store: str) -> dict[str, Any]:
    """Return what is known of a store."""
    found: dict[str, Any] = json.loads((STORES / f"{store}.expected.json").read_text())
    return found


def fields(store: str) -> list[hr.Field]:
    """Return the encoded fields of a store that tensors can hold."""
    found = []
    for one in expected(store)["schema"]["fields"]:
        codec, dtype = one["codec"], one["numpy_dtype"].removeprefix("numpy.")
        if codec is None or dtype in NO_TENSORS:
            continue
        if codec.startswith("CompressedImageCodec"):
            codec = "png" if "png" in codec else "jpeg"
        found.append(
            hr.Field(
                one["name"],
                {"bool_": "bool", "datetime64": "int64"}.get(dtype, dtype),
                tuple(one["shape"]),
                codec=CODECS.get(codec, codec),
                nullable=one["nullable"],
            )
        )
    return found


def read(store: str, field: hr.Field) -> list[np.ndarray[Any, Any] | None]:
    """Return a field's values, one a batch, so that none has to be of another's shape."""
    dataset = hr.open(STORES / store, schema=hr.Schema([field]))
    dataset = dataset.select(field.name).nulls({field.name: "mask"})
    with dataset.loader(batch_size=1, shuffle=False) as loader:
        return [
            batch[field.name][0] if batch[f"{field.name}_mask"][0] else None
            for batch in loader
        ]


def digest(array: np.ndarray[Any, Any]) -> str:
    """Return the SHA-256 of the elements in C order, little-endian."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def check(store: str, field: hr.Field, rows: int) -> None:
    """Hold a field's values against what was read back."""
    wanted = [row[field.name] for row in expected(store)["read_make_reader"]]
    values = read(store, field)
    assert len(values) == len(wanted) == rows
    for value, one in zip(values, wanted, strict=True):
        if one is None:
            assert value is None
            continue
        assert value is not None
        assert list(value.shape) == one["shape"]
        # libjpeg's versions differ in the last bits.
        if field.codec != "jpeg":
            assert digest(value) == one["sha256_c_order_little_endian"]


@pytest.mark.parametrize("field", fields("ndarrays"), ids=lambda field: field.name)
def test_ndarrays_are_what_petastorm_reads(field: hr.Field) -> None:
    check("ndarrays", field, 8)


@pytest.mark.parametrize("field", fields("images"), ids=lambda field: field.name)
def test_images_are_what_petastorm_reads(field: hr.Field) -> None:
    check("images", field, 6)


def test_jpegs_are_near_what_they_were_made_of() -> None:
    png, jpeg = (
        next(field for field in fields("images") if field.name == name)
        for name in ("png_rgb", "jpeg_rgb_q95")
    )
    for a, b in zip(read("images", png), read("images", jpeg), strict=True):
        assert a is not None
        assert b is not None
        assert a.shape == b.shape == (12, 16, 3)
        # Channels in another order are 32 levels apart and more.
        assert np.abs(a.astype(int) - b).mean() < 6


@pytest.mark.parametrize("name", ["nd_int32", "cz_float64", "png_rgb16"])
def test_encoding_makes_the_bytes_that_are_stored(name: str) -> None:
    store = "images" if name.startswith("png") else "ndarrays"
    field = next(field for field in fields(store) if field.name == name)
    values = read(store, field)
    encoded = hr.Schema([field]).encode({name: values})
    cells = [bytes(cell.as_py()) for cell in encoded[name]]
    if field.codec == "npy":
        wanted = expected(store)["stored_cell_sha256"][name]
        assert [hashlib.sha256(cell).hexdigest() for cell in cells] == wanted
    for cell, value in zip(cells, values, strict=True):
        assert value is not None
        if field.codec == "npz":
            import io

            assert (np.load(io.BytesIO(cell))["arr"] == value).all()


@pytest.mark.parametrize("name", ["nd_complex64", "unicode", "bytes"])
def test_elements_that_no_tensor_has_are_refused_by_name(name: str) -> None:
    field = hr.Field(name, "float32", (None,), codec="npy")
    with pytest.raises(hr.errors.Unsupported, match=rf'"{name}".*no tensor'):
        read("ndarrays", field)


def test_vectors_are_dense_by_default() -> None:
    wanted = expected("mllib_vectors")["rows"]
    dataset = hr.open(STORES / "mllib_vectors").select("dense", "sparse", "mixed")
    with dataset.loader(batch_size=16, shuffle=False) as loader:
        (batch,) = loader
    for name in ("dense", "sparse", "mixed"):
        values = [[float.fromhex(x) for x in row[name]["dense"]] for row in wanted]
        assert batch[name].dtype == np.float64
        assert batch[name].tolist() == values


def test_vectors_stay_sparse_where_asked_for() -> None:
    wanted = expected("mllib_vectors")["rows"]
    dataset = hr.open(STORES / "mllib_vectors").select("mixed")
    dataset = dataset.ragged({"mixed": "sparse"}).cast({"mixed": "float32"})
    with dataset.loader(batch_size=16, shuffle=False) as loader:
        (batch,) = loader
    assert set(batch) == {
        "mixed_indices",
        "mixed_values",
        "mixed_offsets",
        "mixed_size",
    }
    assert batch["mixed_values"].dtype == np.float32
    for i, row in enumerate(wanted):
        at = slice(batch["mixed_offsets"][i], batch["mixed_offsets"][i + 1])
        dense = np.zeros(batch["mixed_size"][i], np.float32)
        dense[batch["mixed_indices"][at]] = batch["mixed_values"][at]
        values = [float.fromhex(x) for x in row["mixed"]["dense"]]
        assert dense.tolist() == np.float32(values).tolist()
        if row["mixed"]["kind"] == "SparseVector":
            assert batch["mixed_indices"][at].tolist() == row["mixed"]["indices"]


def test_stored_cells_are_those_of_petastorm() -> None:
    wanted = expected("images")["stored_cell_sha256"]["png_rgb"]
    cells = [
        cell.as_py()
        for path in sorted((STORES / "images").glob("*.parquet"))
        for cell in pq.read_table(path, columns=["png_rgb"])["png_rgb"]
    ]
    assert [hashlib.sha256(cell).hexdigest() for cell in cells] == wanted

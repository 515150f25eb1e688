"""What every form of batches has to do, check by check."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from adapters import Adapter, Array

ROWS = 1050
BATCH = 100
DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64",
)  # fmt: skip
NAMES = [f"name {i % 7}" for i in range(ROWS)]

Check = Callable[[Adapter, Path], None]


def write(folder: Path) -> None:
    """The table that the checks read."""
    number = np.arange(ROWS)
    columns: dict[str, pa.Array] = {"id": pa.array(number, pa.int32())}
    for dtype in DTYPES:
        columns[dtype] = pa.array((number % 100).astype(dtype))
    columns |= {
        "maybe": pa.array([None if i % 3 == 0 else i for i in range(ROWS)], pa.int32()),
        "vector": pa.FixedSizeListArray.from_arrays(
            pa.array(np.arange(ROWS * 4, dtype=np.float32)), 4
        ),
        "tags": pa.array([[i] * (i % 3) for i in range(ROWS)], pa.list_(pa.int16())),
        "name": pa.array(NAMES),
        "large": pa.array(number + (1 << 40)),
        "big": pa.array([1 << 40 if i == 444 else i for i in range(ROWS)], pa.int64()),
        "hole": pa.array([None if i == 444 else i for i in range(ROWS)], pa.int32()),
    }
    pq.write_table(pa.table(columns), folder / "table.parquet", row_group_size=200)


def loader(adapter: Adapter, dataset: hr.Dataset, **options: Any) -> hr.Loader:
    """A loader of the adapter's form."""
    return dataset.loader(
        **{"batch_size": BATCH, "seed": 5, "shuffle_window_rows": 400, **options},
        to=adapter.name,
    )


def epoch(adapter: Adapter, dataset: hr.Dataset, **options: Any) -> Iterator[Any]:
    """The batches of an epoch."""
    with loader(adapter, dataset, **options) as batches:
        yield from batches


def ids(adapter: Adapter, batches: Any) -> list[int]:
    """The ids of batches, in order."""
    return [int(i) for batch in batches for i in adapter.array(batch["id"])]


def joined(adapter: Adapter, batches: Any, name: str) -> Array:
    """A column of batches."""
    return np.concatenate([adapter.array(batch[name]) for batch in batches])


def every_dtype(adapter: Adapter, folder: Path) -> None:
    """Each dtype is delivered as itself, or as what the framework has for it."""
    dataset = hr.open(folder).select("id", *DTYPES)
    batches = list(epoch(adapter, dataset))
    assert list(batches[0]) == ["id", *DTYPES]
    order = ids(adapter, batches)
    assert order != sorted(order)
    assert sorted(order) == list(range(ROWS))
    for dtype in DTYPES:
        values = joined(adapter, batches, dtype)
        assert values.dtype == adapter.dtype(dtype)
        np.testing.assert_array_equal(values, (np.array(order) % 100).astype(dtype))


def nulls(adapter: Adapter, folder: Path) -> None:
    """Nulls are filled, and masked."""
    dataset = hr.open(folder).select("id", "maybe")
    for policy in (hr.fill(-1), "mask"):
        batches = list(epoch(adapter, dataset.nulls({"maybe": policy})))
        order = np.array(ids(adapter, batches))
        filler = 0 if policy == "mask" else -1
        expected = np.where(order % 3 == 0, filler, order)
        np.testing.assert_array_equal(joined(adapter, batches, "maybe"), expected)
        if policy == "mask":
            mask = joined(adapter, batches, "maybe_mask")
            assert mask.dtype == bool
            np.testing.assert_array_equal(mask, order % 3 != 0)


def lists(adapter: Adapter, folder: Path) -> None:
    """Lists of fixed length, padded, and ragged."""
    dataset = hr.open(folder).select("id", "vector", "tags")
    batches = list(epoch(adapter, dataset.ragged({"tags": hr.pad(-1)})))
    order = np.array(ids(adapter, batches))
    vectors = joined(adapter, batches, "vector")
    np.testing.assert_array_equal(vectors, order[:, None] * 4 + np.arange(4))
    tags = joined(adapter, batches, "tags")
    assert tags.shape == (ROWS, 2)
    for i, row in zip(order.tolist(), tags.tolist(), strict=True):
        assert row == [i] * (i % 3) + [-1] * (2 - i % 3)
    for batch in epoch(adapter, dataset.ragged({"tags": "ragged"})):
        offsets = adapter.array(batch["tags_offsets"])
        values = adapter.array(batch["tags"])
        assert offsets.dtype == adapter.dtype(np.int64)
        for k, i in enumerate(adapter.array(batch["id"]).tolist()):
            assert values[offsets[k] : offsets[k + 1]].tolist() == [i] * (i % 3)


def packs(adapter: Adapter, folder: Path) -> None:
    """Columns that are packed are one tensor, row by row."""
    dataset = hr.open(folder).select("id", "int8", "float32").cast({"int8": "float32"})
    for batch in epoch(adapter, dataset.pack("x", ["int8", "float32"])):
        x = adapter.array(batch["x"])
        expected = adapter.array(batch["id"]) % 100
        np.testing.assert_array_equal(x, np.stack([expected, expected], 1))


def texts(adapter: Adapter, folder: Path) -> None:
    """Strings come as they are, or as codes."""
    dataset = hr.open(folder).select("id", "name")
    for batch in epoch(adapter, dataset):
        expected = [NAMES[i] for i in adapter.array(batch["id"]).tolist()]
        assert adapter.texts(batch["name"]) == expected
    for batch in epoch(adapter, dataset.codes({"name": None})):
        expected = adapter.array(batch["id"]) % 7
        assert adapter.array(batch["name"]).tolist() == expected.tolist()


def last_steps(adapter: Adapter, folder: Path) -> None:
    """The last step is shorter, or left out."""
    dataset = hr.open(folder).select("id")
    sizes = [len(batch["id"]) for batch in epoch(adapter, dataset)]
    assert sizes == [BATCH] * 10 + [50]
    assert len(list(epoch(adapter, dataset, drop_last=True))) == 10


def resumes(adapter: Adapter, folder: Path) -> None:
    """A loader that takes a state goes on where the other one was."""
    dataset = hr.open(folder).select("id")
    expected = ids(adapter, epoch(adapter, dataset))
    with loader(adapter, dataset) as first:
        batches = iter(first)
        begun = [next(batches) for _ in range(4)]
        state = first.state_dict()
    with loader(adapter, dataset, num_threads=1) as second:
        second.load_state_dict(state)
        assert len(second) == 7
        assert ids(adapter, begun) + ids(adapter, second) == expected
        assert second.epoch == 1


def ranks(adapter: Adapter, folder: Path) -> None:
    """Ranks share the rows of one order, in steps of equal number and size."""
    dataset = hr.open(folder).select("id")
    options = {"world_size": 4, "batch_size": 50, "pad_last": True}
    parts = [list(epoch(adapter, dataset, rank=rank, **options)) for rank in range(4)]
    sizes = [[len(batch["id"]) for batch in part] for part in parts]
    assert all(other == sizes[0] for other in sizes)
    together = [batch for part in parts for batch in part]
    valid = joined(adapter, together, "valid")
    assert sorted(joined(adapter, together, "id")[valid].tolist()) == list(range(ROWS))


def no_copies(adapter: Adapter, folder: Path) -> None:
    """Tensors are the memory that C++ filled, aligned to 64 bytes."""
    dataset = hr.open(folder).select("float32", "vector", "int16", "bool")
    with loader(adapter, dataset) as batches:
        convert = batches._convert
        seen: list[int] = []

        def spy(rows: int, columns: list[tuple[Any, Any]]) -> Any:
            seen.clear()
            for _, column in columns:
                if hasattr(column, "__dlpack__"):
                    seen.append(np.from_dlpack(column).ctypes.data)
            return convert(rows, columns)

        batches._convert = spy
        for batch in batches:
            pointers = [adapter.pointer(tensor) for tensor in batch.values()]
            assert all(pointer % 64 == 0 for pointer in pointers)
            assert adapter.name == "torch" or pointers == seen


def batches_outlive_the_loader(adapter: Adapter, folder: Path) -> None:
    """What was handed out stays as it was."""
    dataset = hr.open(folder).select("id", "vector")
    batches = list(epoch(adapter, dataset))
    more = list(epoch(adapter, dataset, seed=6))
    gc.collect()
    order = np.array(ids(adapter, batches))
    assert sorted(order.tolist()) == list(range(ROWS))
    vectors = joined(adapter, batches, "vector")
    np.testing.assert_array_equal(vectors, order[:, None] * 4 + np.arange(4))
    assert ids(adapter, more) != order.tolist()


def errors_come_at_their_batch(adapter: Adapter, folder: Path) -> None:
    """A bad row raises when its batch is asked for, and names itself."""
    dataset = hr.open(folder).select("id", "hole").nulls({"hole": "error"})
    with loader(adapter, dataset, shuffle=False) as batches:
        came: list[int] = []
        try:
            for batch in batches:
                came += ids(adapter, [batch])
        except hr.HeadraceError as error:
            assert "row 444" in str(error)
            assert '"hole"' in str(error)
        else:
            raise AssertionError("the null passed")
        assert came == list(range(400))


def a_closed_loader_refuses(adapter: Adapter, folder: Path) -> None:
    """Iterating after close is a Conflict."""
    batches = loader(adapter, hr.open(folder).select("id"))
    batches.close()
    try:
        next(iter(batches))
    except hr.errors.Conflict:
        return
    raise AssertionError("it went on")


def nothing_is_narrowed_silently(adapter: Adapter, folder: Path) -> None:
    """Integers of 64 bits keep their values, or are refused by name."""
    dataset = hr.open(folder).select("id", "large")
    try:
        for batch in epoch(adapter, dataset):
            expected = adapter.array(batch["id"]).astype(np.int64) + (1 << 40)
            np.testing.assert_array_equal(adapter.array(batch["large"]), expected)
    except hr.errors.InvalidArgument as error:
        assert adapter.narrow
        assert '"large"' in str(error)
        assert "jax_enable_x64" in str(error)


def an_empty_batch_tells_dtypes_and_shapes(adapter: Adapter, folder: Path) -> None:
    """What batches are like is known before the first."""
    dataset = hr.open(folder).select(
        "id", "float16", "bool", "maybe", "vector", "name", "tags"
    )
    dataset = dataset.nulls({"maybe": "mask"}).ragged({"tags": "ragged"})
    with loader(adapter, dataset, pad_last=True) as batches:
        empty = batches._empty()
        batch = next(iter(batches))
    assert list(empty) == list(batch)
    for name, tensor in batch.items():
        if name != "name":
            assert empty[name].dtype == tensor.dtype
            assert empty[name].shape[1:] == tensor.shape[1:]
            assert empty[name].shape[0] == (1 if name == "tags_offsets" else 0)


ALL: tuple[Check, ...] = (
    an_empty_batch_tells_dtypes_and_shapes,
    every_dtype,
    nulls,
    lists,
    packs,
    texts,
    last_steps,
    resumes,
    ranks,
    no_copies,
    batches_outlive_the_loader,
    errors_come_at_their_batch,
    a_closed_loader_refuses,
    nothing_is_narrowed_silently,
)

"""What every form of batches has to do, check by check."""

import contextlib
import gc
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

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


class Field(NamedTuple):
    """A column that a function returns."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


class Declared(NamedTuple):
    """What a function returns."""

    fields: list[Field]


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
        "blob": pa.array([name.encode() + b"\xff\0" for name in NAMES]),
        "large": pa.array(number + (1 << 40)),
        "holes": pa.array([None if i < 250 else i for i in range(ROWS)], pa.int32()),
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


@contextlib.contextmanager
def raised(kind: type[hr.HeadraceError], *facts: str) -> Iterator[None]:
    """An error of a kind has to come, and to state the facts."""
    try:
        yield
    except kind as error:
        for fact in facts:
            assert fact in str(error), f"{fact} is not in: {error}"
    else:
        raise AssertionError(f"no {kind.__name__} came")


def ids(adapter: Adapter, batches: Any) -> list[int]:
    """The ids of batches, in order."""
    return [int(i) for batch in batches for i in adapter.array(batch["id"])]


def joined(adapter: Adapter, batches: Any, name: str) -> Array:
    """A column of batches."""
    return np.concatenate([adapter.array(batch[name]) for batch in batches])


def every_dtype(adapter: Adapter, folder: Path) -> None:
    """Each dtype is delivered as itself."""
    dtypes = [dtype for dtype in DTYPES if adapter.has(dtype)]
    dataset = hr.open(folder).select("id", *dtypes)
    batches = list(epoch(adapter, dataset))
    assert list(batches[0]) == ["id", *dtypes]
    order = ids(adapter, batches)
    assert order != sorted(order)
    assert sorted(order) == list(range(ROWS))
    for dtype in dtypes:
        values = joined(adapter, batches, dtype)
        assert values.dtype == dtype
        np.testing.assert_array_equal(values, (np.array(order) % 100).astype(dtype))


def bfloat16(adapter: Adapter, folder: Path) -> None:
    """The dtype that numpy lacks is there where the framework has it, else refused."""
    dataset = hr.open(folder).select("id", "float32").cast({"float32": "bfloat16"})
    if adapter.bfloat16 is None:
        with raised(hr.errors.Unsupported, '"float32"', "bfloat16"):
            list(epoch(adapter, dataset))
        return
    for batch in epoch(adapter, dataset):
        assert batch["float32"].dtype == adapter.bfloat16
        values = adapter.array(batch["float32"]).astype(np.float32)
        np.testing.assert_array_equal(values, adapter.array(batch["id"]) % 100)


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
    for batch in epoch(adapter, dataset.ragged({"tags": hr.pad(0, length=8)})):
        assert tuple(batch["tags"].shape) == (len(batch["id"]), 8)
    for batch in epoch(adapter, dataset.ragged({"tags": "ragged"})):
        offsets = adapter.array(batch["tags_offsets"])
        values = adapter.array(batch["tags"])
        assert offsets.dtype == (np.int32 if adapter.narrow else np.int64)
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
    dataset = hr.open(folder).select("id", "name", "blob")
    for batch in epoch(adapter, dataset):
        expected = [NAMES[i] for i in adapter.array(batch["id"]).tolist()]
        assert adapter.texts(batch["name"], str) == expected
        expected = [name.encode() + b"\xff\0" for name in expected]
        assert adapter.texts(batch["blob"], bytes) == expected
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


def resumes_on_two_ranks(adapter: Adapter, folder: Path) -> None:
    """What one rank has not seen, two ranks share."""
    dataset = hr.open(folder).select("id")
    with loader(adapter, dataset, streams=2) as first:
        begun = list(itertools.islice(first, 3))
        state = first.state_dict()
    found = ids(adapter, begun)
    for rank in range(2):
        options = {"rank": rank, "world_size": 2, "batch_size": 50, "streams": 2}
        with loader(adapter, dataset, **options) as other:
            other.load_state_dict(state)
            found += ids(adapter, other)
    assert sorted(found) == list(range(ROWS))


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
    dataset = hr.open(folder).select("float32", "vector", "int16", "bool", "uint8")
    with loader(adapter, dataset) as batches:
        convert = batches._convert
        seen: list[int] = []

        def spy(*native: Any) -> Any:
            seen.clear()
            for _, column in native[-1] if isinstance(native[-1], list) else []:
                if hasattr(column, "__dlpack__"):
                    seen.append(np.from_dlpack(column).ctypes.data)
            return convert(*native)

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


def tensors_are_the_callers(adapter: Adapter, folder: Path) -> None:
    """Who may write to a tensor changes no other, of this step or of the next ones."""
    dataset = hr.open(folder).select("id", "int16", "vector")
    with loader(adapter, dataset) as batches:
        for batch in batches:
            order = adapter.array(batch["id"]).copy()
            values = adapter.array(batch["int16"])
            assert values.flags.writeable or not adapter.writable
            if adapter.writable:
                batch["int16"][:] = -1
                assert (adapter.array(batch["int16"]) == -1).all()
            np.testing.assert_array_equal(adapter.array(batch["id"]), order)
            expected = order[:, None] * 4 + np.arange(4)
            np.testing.assert_array_equal(adapter.array(batch["vector"]), expected)


def errors_come_at_their_batch(adapter: Adapter, folder: Path) -> None:
    """A bad row raises when its batch is asked for, and names itself."""
    dataset = hr.open(folder).select("id", "hole").nulls({"hole": "error"})
    with loader(adapter, dataset, shuffle=False) as batches:
        came: list[int] = []
        with raised(hr.errors.InvalidArgument, "row 444", '"hole"'):
            for batch in batches:
                came += ids(adapter, [batch])
        assert came == list(range(400))


def bad_rows_are_left_out(adapter: Adapter, folder: Path) -> None:
    """Batches get shorter under "skip", down to none."""
    dataset = hr.open(folder).select("id", "holes", "name", "vector").on_error("skip")
    batches = list(epoch(adapter, dataset, shuffle=False))
    assert [len(batch["id"]) for batch in batches] == [0, 0, 50] + [BATCH] * 7 + [50]
    assert ids(adapter, batches) == list(range(250, ROWS))
    assert adapter.texts(batches[0]["name"], str) == []
    assert tuple(batches[0]["vector"].shape) == (0, 4)


def a_closed_loader_refuses(adapter: Adapter, folder: Path) -> None:
    """Iterating after close is a Conflict, also in the middle of a pass."""
    for taken in (0, 2):
        batches = loader(adapter, hr.open(folder).select("id"))
        running = iter(batches)
        begun = [next(running) for _ in range(taken)]
        batches.close()
        with raised(hr.errors.Conflict, "closed"):
            next(running)
        with raised(hr.errors.Conflict, "closed"):
            iter(batches)
        assert len(ids(adapter, begun)) == taken * BATCH


def an_older_iterator_refuses(adapter: Adapter, folder: Path) -> None:
    """A second pass ends the first, which says so, and is whole itself."""
    with loader(adapter, hr.open(folder).select("id")) as batches:
        older = iter(batches)
        next(older)
        newer = iter(batches)
        with raised(hr.errors.Conflict, "one pass at a time"):
            next(older)
        assert sorted(ids(adapter, newer)) == list(range(ROWS))


def columns_of_64_bits_are_kept_or_refused(adapter: Adapter, folder: Path) -> None:
    """Nothing is narrowed unasked: a cast is the way, and it checks."""
    dataset = hr.open(folder).select("id", "large", "float64")
    if not adapter.narrow:
        for batch in epoch(adapter, dataset):
            order = adapter.array(batch["id"])
            expected = order.astype(np.int64) + (1 << 40)
            np.testing.assert_array_equal(adapter.array(batch["large"]), expected)
        return
    with raised(
        hr.errors.InvalidArgument,
        '"large" (int64)',
        '"float64" (float64)',
        'cast({"large": "int32", "float64": "float32"})',
        "jax_enable_x64",
    ):
        loader(adapter, dataset)
    with raised(hr.errors.InvalidArgument, '"large"', "int32"):
        list(epoch(adapter, dataset.cast({"large": "int32", "float64": "float32"})))
    for batch in epoch(
        adapter, dataset.select("id", "float64").cast({"float64": "float32"})
    ):
        expected = adapter.array(batch["id"]) % 100
        np.testing.assert_array_equal(adapter.array(batch["float64"]), expected)


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


def functions(adapter: Adapter, folder: Path) -> None:
    """What functions return is delivered as what is read is, and resumes."""
    dataset = hr.open(folder).select("id", "float32", "vector", "bool", "name")

    def function(batch: dict[str, Any]) -> dict[str, Any]:
        rows = len(batch["float32"])
        return {
            "float32": batch["float32"] * 2,
            "bool": ~batch["bool"],
            "half": np.broadcast_to(np.float16(1.5), (rows, 2, 3)),
            "text": [name + "!" for name in batch["name"]],
        }

    fields = [
        Field("float32", "float32", ()),
        Field("bool", "bool", ()),
        Field("half", "float16", (2, None)),
        Field("text", "string", ()),
    ]
    for processes in (0, 1):
        mapped = dataset.map_batches(
            function,
            columns=["float32", "bool", "name"],
            schema=Declared(fields),
            processes=processes,
        )
        with loader(adapter, mapped) as batches:
            empty = batches._empty()
            whole = list(batches)
            batches.set_epoch(0)
            list(itertools.islice(batches, 4))
            state = batches.state_dict()
            batches.load_state_dict(state)
            assert ids(adapter, batches) == ids(adapter, whole[4:])
        assert ids(adapter, whole) == ids(adapter, epoch(adapter, dataset))
        names = ["id", "float32", "vector", "bool", "half", "text"]
        assert list(empty) == list(whole[0]) == names
        for name in names[:-1]:
            assert empty[name].dtype == whole[0][name].dtype
            assert empty[name].shape[0] == 0
        for batch in whole:
            order = np.array(ids(adapter, [batch]))
            for tensor in list(batch.values())[:-1]:
                assert adapter.pointer(tensor) % 64 == 0
            floats = adapter.array(batch["float32"])
            np.testing.assert_array_equal(floats, order % 100 * 2)
            np.testing.assert_array_equal(adapter.array(batch["bool"]), order % 100 == 0)
            half = adapter.array(batch["half"])
            assert half.dtype == np.float16
            assert half.shape == (len(order), 2, 3)
            assert (half == 1.5).all()
            expected = [NAMES[i] + "!" for i in order.tolist()]
            assert adapter.texts(batch["text"], str) == expected


ALL: tuple[Check, ...] = (
    every_dtype,
    bfloat16,
    columns_of_64_bits_are_kept_or_refused,
    nulls,
    lists,
    packs,
    texts,
    an_empty_batch_tells_dtypes_and_shapes,
    no_copies,
    tensors_are_the_callers,
    batches_outlive_the_loader,
    last_steps,
    resumes,
    resumes_on_two_ranks,
    ranks,
    errors_come_at_their_batch,
    bad_rows_are_left_out,
    a_closed_loader_refuses,
    an_older_iterator_refuses,
    functions,
)

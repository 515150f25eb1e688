"""Features: fitted in one pass, applied alike by loaders and by `transform`."""

import datetime
import json
import math
import pickle
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import headrace as hr
import lakes
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

calm = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def open_table(tmp_path: Path, columns: dict[str, Any]) -> hr.Dataset:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=4)
    return hr.open(path)


def batch_of(dataset: hr.Dataset, to: str = "numpy", **options: Any) -> Any:
    """All rows, in stored order, as one batch."""
    options = {"shuffle": False, "batch_size": 1000, **options}
    with dataset.loader(to=to, **options) as loader:
        (batch,) = loader
    return batch


def numeric(features: hr.Features, name: str) -> hr.features.NumericFeature:
    found = features[name]
    assert isinstance(found, hr.features.NumericFeature)
    return found


def vocabulary(features: hr.Features, name: str) -> hr.features.VocabularyFeature:
    found = features[name]
    assert isinstance(found, hr.features.VocabularyFeature)
    return found


def as_numbers(column: pa.ChunkedArray) -> list[int] | list[float]:
    """Values without nulls; what is no number as the integers stored."""
    if pa.types.is_temporal(column.type):
        integer = pa.int32() if column.type.bit_width == 32 else pa.int64()
        column = pa.chunked_array([one.view(integer) for one in column.chunks], integer)
    return [value for value in column.to_pylist() if value is not None]


def is_number(type_: pa.DataType) -> bool:
    return (
        pa.types.is_integer(type_)
        or pa.types.is_floating(type_)
        or pa.types.is_boolean(type_)
        or pa.types.is_temporal(type_)
    )


def is_text(type_: pa.DataType) -> bool:
    if pa.types.is_dictionary(type_):
        return is_text(type_.value_type)
    kinds = (pa.string(), pa.large_string(), pa.binary())
    return type_ in kinds


def check_numbers(found: hr.features.NumericFeature, column: pa.ChunkedArray) -> None:
    values = as_numbers(column)
    kept = [value for value in values if not math.isnan(value)]
    nans = len(values) - len(kept)
    assert (found.count, found.nulls, found.nans) == (
        len(kept),
        column.null_count,
        nans,
    )
    if not kept:
        assert (found.mean, found.std, found.min, found.max) == (None,) * 4
        return
    assert (found.min, found.max) == (min(kept), max(kept))
    if not np.isfinite(np.array(kept, float)).all():
        assert found.mean is None and found.std is None
        return
    assert found.mean == pytest.approx(np.mean(kept, dtype=float), rel=1e-12, abs=1e-12)
    assert found.std == pytest.approx(np.std(kept, dtype=float), rel=1e-9, abs=1e-9)


@calm
@given(st.data())
def test_features_are_those_that_numpy_finds(data: st.DataObject) -> None:
    root = Path(tempfile.mkdtemp(prefix="headrace-lake-"))
    try:
        lake = data.draw(lakes.lakes(root))
        choice = data.draw(st.none() | lakes.filters(lake))
        dataset = hr.open(lake.root)
        table = lake.table
        if choice is not None:
            dataset = dataset.where(choice.text)
            table = table.filter(choice.expression)
        names = [f.name for f in table.schema if is_number(f.type) or is_text(f.type)]
        features = dataset.fit_features(*names, num_threads=1)
        assert list(features) == names
        assert features.rows == table.num_rows
        for name in names:
            column = table.column(name)
            if is_number(column.type):
                check_numbers(numeric(features, name), column)
                continue
            values = [value for value in column.to_pylist() if value is not None]
            found = vocabulary(features, name)
            assert list(found.values) == sorted(set(values), key=as_bytes)
            assert list(found.counts) == [values.count(one) for one in found.values]
            assert found.nulls == column.null_count
        again = dataset.fit_features(*names, num_threads=3)
        assert again == features
        assert again.to_json() == features.to_json()
        assert hr.Features.from_json(features.to_json()) == features
    finally:
        shutil.rmtree(root)


def as_bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


ROWS: dict[str, Any] = {
    "distance": [733.5, 17.0, 4983.0, 1000.25, 1.0],
    "hour": pa.array([1, 2, 3, 4, 23], pa.int8()),
    "carrier": ["UA", "AA", "UA", "DL", "AA"],
    "code": [b"\xff", b"a", b"a", b"\xff", b""],
}


@pytest.fixture
def flights(tmp_path: Path) -> hr.Dataset:
    return open_table(tmp_path, ROWS)


@pytest.fixture
def features(flights: hr.Dataset) -> hr.Features:
    return flights.fit_features()


def test_features_are_a_mapping_that_prints(features: hr.Features) -> None:
    assert list(features) == ["distance", "hour", "carrier", "code"]
    assert len(features) == 4 and "hour" in features and "gone" not in features
    assert features.rows == 5
    assert vocabulary(features, "carrier").values == ("AA", "DL", "UA")
    assert vocabulary(features, "carrier").counts == (2, 1, 2)
    assert vocabulary(features, "code").values == (b"", b"a", b"\xff")
    assert "hour: mean 6.6" in repr(features)
    assert 'carrier: 3 distinct values, 0 nulls: "AA" "DL" "UA"' in repr(features)


def test_saved_features_come_back_equal(features: hr.Features, tmp_path: Path) -> None:
    path = tmp_path / "features.json"
    features.save(path)
    assert hr.Features.load(path) == features
    assert hr.Features.load(str(path)) == features
    assert pickle.loads(pickle.dumps(features)) == features
    assert hash(pickle.loads(pickle.dumps(features))) == hash(features)
    assert json.loads(path.read_text())["format"] == 1
    assert features != 3
    # What was formatted anew by others is the same.
    path.write_text(json.dumps(json.loads(features.to_json()), indent=2))
    assert hr.Features.load(path) == features


def test_files_without_features_are_told(tmp_path: Path) -> None:
    with pytest.raises(hr.errors.NotFound, match=r"gone\.json"):
        hr.Features.load(tmp_path / "gone.json")
    for content in (b"{}", b"\xff\xfe", b"[1]"):
        (tmp_path / "bad.json").write_bytes(content)
        with pytest.raises(hr.errors.InvalidArgument):
            hr.Features.load(tmp_path / "bad.json")
    (tmp_path / "bad.json").write_text('{"format": 2}')
    with pytest.raises(hr.errors.Unsupported, match="newer headrace"):
        hr.Features.load(tmp_path / "bad.json")


@pytest.mark.parametrize("shuffle", [False, True])
def test_transform_gives_the_bits_that_loaders_give(
    flights: hr.Dataset, features: hr.Features, shuffle: bool
) -> None:
    chosen = (
        flights.standardize(features)
        .codes(features, ["code"])
        .one_hot(features, ["carrier"])
    )
    plain = batch_of(flights, shuffle=shuffle, seed=3)
    expected = batch_of(chosen, shuffle=shuffle, seed=3)
    made = features.transform(plain, one_hot=["carrier"])
    assert list(made) == list(expected)
    for name in expected:
        assert made[name].dtype == expected[name].dtype
        assert made[name].shape == expected[name].shape
        assert made[name].tobytes() == expected[name].tobytes()


@calm
@given(st.data())
def test_standardizing_is_numpys_to_the_bit(data: st.DataObject) -> None:
    dtype = data.draw(
        st.sampled_from(
            ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64",
             "uint64", "float16", "float32", "float64"]
        )
    )  # fmt: skip
    bits = data.draw(st.binary(min_size=64, max_size=64))
    values = np.frombuffer(bits, "uint8" if dtype == "bool" else dtype)
    if dtype == "bool":
        values = values % 2 == 1
    number = st.floats(allow_nan=False, allow_infinity=False)
    mean = data.draw(number)
    std = data.draw(number.map(abs))
    with tempfile.TemporaryDirectory() as folder:
        dataset = open_table(Path(folder), {"x": values})
        found = batch_of(dataset.standardize({"x": (mean, std)}))["x"]
        wide = batch_of(dataset.standardize({"x": (mean, std)}).cast({"x": "float64"}))
    with np.errstate(all="ignore"):
        expected = (values.astype(np.float64) - mean) / (std or 1.0)
        assert found.dtype == np.float32
        assert np.array_equal(found, expected.astype(np.float32), equal_nan=True)
        assert np.array_equal(wide["x"], expected, equal_nan=True)


def test_standardized_columns_have_mean_0_and_deviation_1(
    flights: hr.Dataset, features: hr.Features
) -> None:
    batch = batch_of(flights.standardize(features))
    for name in ("distance", "hour"):
        assert batch[name].dtype == np.float32
        assert batch[name].mean() == pytest.approx(0, abs=1e-6)
        assert batch[name].std() == pytest.approx(1, abs=1e-6)
    assert batch["carrier"].tolist() == ROWS["carrier"]


def test_a_column_of_one_value_is_only_shifted(tmp_path: Path) -> None:
    dataset = open_table(tmp_path, {"x": [0.1] * 9})
    features = dataset.fit_features()
    assert (numeric(features, "x").mean, numeric(features, "x").std) == (0.1, 0)
    assert batch_of(dataset.standardize(features))["x"].tolist() == [0] * 9
    assert features.transform({"x": [1.1]})["x"].tolist() == [1]


def test_frames_and_forms_get_what_numpy_gets(
    flights: hr.Dataset, features: hr.Features
) -> None:
    chosen = (
        flights.select("distance", "hour", "carrier")
        .standardize(features)
        .one_hot(features)
        .pack("x", ["hour", "distance"])
    )
    expected = batch_of(chosen)
    assert list(expected) == ["x", "carrier"]
    tensors = batch_of(chosen, to="torch")
    assert tensors["x"].dtype == tensors["carrier"].dtype == torch.float32
    for name, values in expected.items():
        assert np.array_equal(tensors[name].numpy(), values)
    arrow = batch_of(chosen, to="arrow")
    assert arrow["carrier"].to_pylist() == expected["carrier"].tolist()
    again = pickle.loads(pickle.dumps(chosen))
    assert repr(again) == repr(chosen)
    for name, values in batch_of(again).items():
        assert np.array_equal(values, expected[name])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_cast_says_which_float_it_becomes(flights: hr.Dataset, dtype: str) -> None:
    x = flights.select("hour").standardize({"hour": (2, 4)}).cast({"hour": dtype})
    tensor = batch_of(x, to="torch")["hour"]
    assert tensor.dtype == getattr(torch, dtype)
    assert tensor.tolist() == [-0.25, 0, 0.25, 0.5, 5.25]


def test_nulls_are_filled_before_and_masked_after(tmp_path: Path) -> None:
    columns = {"x": pa.array([1, None, 5], pa.int64()), "s": ["a", None, "b"]}
    dataset = open_table(tmp_path, columns)
    features = dataset.fit_features()
    assert (numeric(features, "x").count, numeric(features, "x").nulls) == (2, 1)
    assert (numeric(features, "x").mean, numeric(features, "x").std) == (3, 2)
    assert vocabulary(features, "s").nulls == 1
    chosen = dataset.standardize(features).one_hot(features)
    with pytest.raises(hr.errors.InvalidArgument, match=r'null.*"x"|"x".*null'):
        batch_of(chosen)
    filled = batch_of(chosen.nulls({"x": hr.fill(3.5), "s": hr.fill("b")}))
    assert filled["x"].tolist() == [-1, 0.25, 1]
    assert filled["s"].tolist() == [[1, 0], [0, 1], [0, 1]]
    masked = batch_of(chosen.nulls({"x": "mask", "s": "mask"}))
    assert masked["x"].tolist() == [-1, 0, 1]
    assert masked["x_mask"].tolist() == masked["s_mask"].tolist() == [True, False, True]
    assert masked["s"].tolist() == [[1, 0], [0, 0], [0, 1]]


def test_dates_and_times_are_the_integers_stored(tmp_path: Path) -> None:
    days = [datetime.date(1970, 1, 2), datetime.date(1970, 1, 6)]
    dataset = open_table(tmp_path, {"day": days})
    features = dataset.fit_features("day")
    assert numeric(features, "day").mean == 3
    assert batch_of(dataset.standardize(features))["day"].tolist() == [-1, 1]


def test_the_fit_of_a_part_is_of_its_rows_alone(flights: hr.Dataset) -> None:
    train = flights.where("carrier != 'DL'")
    features = train.fit_features("carrier", "hour")
    assert vocabulary(features, "carrier").values == ("AA", "UA")
    assert numeric(features, "hour").mean == 7.25
    with pytest.raises(hr.errors.InvalidArgument, match="'DL'"):
        batch_of(flights.select("carrier").one_hot(features))
    lenient = flights.select("carrier").one_hot(features).nulls({"carrier": "mask"})
    batch = batch_of(lenient.on_error("null"))
    assert batch["carrier"].tolist() == [[0, 1], [1, 0], [0, 1], [0, 0], [1, 0]]
    assert batch["carrier_mask"].tolist() == [True, True, True, False, True]


def test_transform_takes_what_serving_has(features: hr.Features) -> None:
    made = features.transform(
        {
            "hour": 23,
            "carrier": np.array([["UA"], ["AA"]]),
            "code": [b"a"],
            "other": "kept",
        }
    )
    assert made["hour"].shape == () and made["hour"].dtype == np.float32
    assert made["carrier"].tolist() == [[2], [0]] and made["carrier"].dtype == np.int32
    assert made["code"].tolist() == [1]
    assert made["other"] == "kept"
    hot = features.transform({"carrier": ["DL"]}, one_hot=["carrier"])
    assert hot["carrier"].tolist() == [[0, 1, 0]]


def test_infinities_have_no_mean(tmp_path: Path) -> None:
    dataset = open_table(tmp_path, {"x": [1.0, float("inf")], "y": [1.0, 2.0]})
    features = dataset.fit_features()
    assert numeric(features, "x").mean is None
    assert numeric(features, "x").max == float("inf")
    assert hr.Features.from_json(features.to_json()) == features
    with pytest.raises(hr.errors.InvalidArgument, match=r'"x".*infinities'):
        dataset.standardize(features)
    with pytest.raises(hr.errors.InvalidArgument, match=r'"x".*infinities'):
        features.transform({"x": [1.0]})
    dataset.standardize(features, ["y"])


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda d, f: d.fit_features("gone"), "NotFound"),
        (lambda d, f: d.select("hour").fit_features("carrier"), "NotFound"),
        (lambda d, f: d.fit_features("hour", "hour"), "InvalidArgument"),
        (lambda d, f: d.fit_features(3), "InvalidArgument"),
        (lambda d, f: d.fit_features(num_threads=0), "InvalidArgument"),
        (lambda d, f: d.fit_features(vocabulary_max=0), "InvalidArgument"),
        (lambda d, f: d.fit_features("carrier", vocabulary_max=2), "ResourceExhausted"),
        (lambda d, f: d.standardize({"carrier": (0, 1)}), "InvalidArgument"),
        (lambda d, f: d.standardize({"hour": (0, -1)}), "InvalidArgument"),
        (lambda d, f: d.standardize({"hour": (float("nan"), 1)}), "InvalidArgument"),
        (lambda d, f: d.standardize({"hour": 3}), "InvalidArgument"),
        (lambda d, f: d.standardize({"hour": "ab"}), "InvalidArgument"),
        (lambda d, f: d.standardize({"hour": (1, 2, 3)}), "InvalidArgument"),
        (lambda d, f: d.standardize({"huor": (0, 1)}), "NotFound"),
        (lambda d, f: d.standardize(3), "InvalidArgument"),
        (lambda d, f: d.standardize({"hour": (0, 1)}, ["hour"]), "InvalidArgument"),
        (lambda d, f: d.standardize(f, ["gone"]), "NotFound"),
        (lambda d, f: d.standardize(f, ["carrier"]), "InvalidArgument"),
        (lambda d, f: d.select("code").standardize(f, ["hour"]), "NotFound"),
        (
            lambda d, f: d.standardize(f).cast({"hour": "int8"}).loader(),
            "InvalidArgument",
        ),
        (lambda d, f: d.codes(f, ["hour"]), "InvalidArgument"),
        (lambda d, f: d.codes(f).one_hot(f), "InvalidArgument"),
        (lambda d, f: d.one_hot({"hour": None}), "InvalidArgument"),
        (lambda d, f: d.one_hot({"carrier": ["a", "a"]}), "InvalidArgument"),
        (lambda d, f: d.one_hot({"carrier": "UA"}), "InvalidArgument"),
        (lambda d, f: f.transform(3), "InvalidArgument"),
        (lambda d, f: f.transform({"hour": [None]}), "InvalidArgument"),
        (lambda d, f: f.transform({"hour": ["x"]}), "InvalidArgument"),
        (lambda d, f: f.transform({"carrier": [None]}), "InvalidArgument"),
        (lambda d, f: f.transform({"carrier": ["ZZ"]}), "InvalidArgument"),
        (lambda d, f: f.transform({"hour": [1]}, one_hot=["hour"]), "InvalidArgument"),
        (lambda d, f: f.transform({"hour": [1]}, one_hot=["carrier"]), "NotFound"),
        (lambda d, f: hr.Features.from_json(3), "InvalidArgument"),
        (lambda d, f: f.save(3), "InvalidArgument"),
    ],
)
def test_what_is_wrong_is_told(
    flights: hr.Dataset, features: hr.Features, call: Any, kind: str
) -> None:
    with pytest.raises(hr.HeadraceError) as raised:
        call(flights, features)
    assert raised.value.kind == kind
    assert len(str(raised.value)) > 20


def test_columns_that_are_neither_numbers_nor_text_are_told(tmp_path: Path) -> None:
    dataset = open_table(tmp_path, {"l": [[1]], "x": [1]})
    with pytest.raises(hr.errors.Unsupported, match=r'"l".*leave it out'):
        dataset.fit_features()
    assert list(dataset.fit_features("x")) == ["x"]


def test_the_fit_is_shown_on_a_terminal(
    flights: hr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int]] = []
    fit = hr._native.Features.fit

    def spy(*arguments: Any) -> Any:
        *others, progress = arguments

        def both(done: int, total: int) -> None:
            told.append((done, total))
            progress(done, total)

        return fit(*others, both)

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(hr._native.Features, "fit", spy)
    flights.fit_features("hour", num_threads=1)
    assert told == [(4, 5), (5, 5)]

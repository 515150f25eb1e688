"""Headrace's C++ core. Private: use the package headrace."""

from collections.abc import Mapping, Sequence
import enum
from typing import Annotated, Any

import numpy
from numpy.typing import NDArray


class ArrowColumn:
    """An Arrow array, for pyarrow."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """Capsules of the Arrow C data interface: no copy."""

class WholeBatch:
    """Batches that were assembled together."""

    @property
    def rows(self) -> int: ...

    @property
    def tensors(self) -> Any:
        """What a framework made of it; None at first."""

    @tensors.setter
    def tensors(self, value: Any, /) -> None: ...

    def lines(self) -> list[tuple[list[str], int, Any]]:
        """
        The columns, [(names, distance, column), ...]. (batch,) tensors of one dtype that lie in one memory at equal distances come together, as a flat capsule with `distance` elements from the first of one to that of the next.
        """

class Schema:
    """headrace::Schema."""

    @staticmethod
    def make(fields: Sequence[tuple[str, str, Sequence[int | None], str, int | None, bool]]) -> Schema: ...

    @staticmethod
    def from_arrow(schema: object) -> Schema: ...

    @staticmethod
    def from_json(json: str) -> Schema: ...

    def to_json(self) -> str: ...

    def fields(self) -> list[tuple[str, str, list[int | None], str, int | None, bool]]: ...

    def show(self, arg: int, /) -> str: ...

    def encode(self, name: str, values: Sequence[tuple[str, Sequence[int], Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)]] | None], num_threads: int) -> list[ArrowColumn]: ...

    def __arrow_c_schema__(self) -> object: ...

    def __str__(self) -> str: ...

class ScanSummary:
    """What a scan will touch."""

    def to_json(self) -> str: ...

    def __str__(self) -> str: ...

class ScanBatches:
    """A scan, batch by batch; one thread at a time."""

    def __arrow_c_schema__(self) -> object: ...

    def next(self) -> ArrowColumn | None:
        """Rows as structs, or None at the end."""

class Dataset:
    """headrace::Dataset."""

    @staticmethod
    def open(uris: Sequence[str], storage_options: Mapping[str, str], partition_types: Mapping[str, str], schema: Schema | None, version: int | None, as_of: str, actions: str, cache_folder: str, catalog: str = '', where: str = '', between: tuple[int | str, int | str, str | None] | None = None) -> Dataset: ...

    @staticmethod
    def from_json(json: str) -> Dataset: ...

    def select(self, columns: Sequence[str], row_id: bool = False) -> Dataset: ...

    def where(self, filter: str) -> Dataset: ...

    def between(self, start: int | str, end: int | str, column: str | None) -> Dataset: ...

    def where_serialized(self, expression: bytes) -> Dataset: ...

    def cast(self, types: Mapping[str, str]) -> Dataset: ...

    def nulls(self, policies: Mapping[str, tuple[str, object]]) -> Dataset: ...

    def ragged(self, policies: Mapping[str, tuple[str, object, int | None]]) -> Dataset: ...

    def codes(self, policies: Mapping[str, Sequence[object] | None]) -> Dataset: ...

    def one_hot(self, policies: Mapping[str, Sequence[object] | None]) -> Dataset: ...

    def standardize(self, policies: Mapping[str, tuple[float, float]]) -> Dataset: ...

    def map(self, ops: Mapping[str, str]) -> Dataset: ...

    def pack(self, name: str, columns: Sequence[str]) -> Dataset: ...

    def on_error(self, policy: str) -> Dataset: ...

    def split(self, fractions: Sequence[tuple[str, float]], by: str | None, seed: int) -> list[tuple[str, Dataset]]: ...

    def take(self, row_ids: bytes) -> ScanBatches:
        """The rows of ids, int64 in native order."""

    def scan_ranges(self, count: int) -> list[tuple[int, int]]:
        """Parts of a scan: (first, end) row ids."""

    def count_rows(self) -> int: ...

    def explain(self) -> ScanSummary: ...

    def scan(self, decode: bool) -> ScanBatches: ...

    @property
    def version(self) -> int | None: ...

    @property
    def fingerprint(self) -> str: ...

    def to_json(self) -> str: ...

    def __str__(self) -> str: ...

    def __arrow_c_schema__(self) -> object: ...

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

class Catalog:
    """headrace::Catalog. Entries are JSON and text."""

    @staticmethod
    def open(uri: str) -> Catalog: ...

    @property
    def uri(self) -> str: ...

    def add(self, *, name: str, uri: str, description: str, owner: str, comments: Mapping[str, str], tags: Mapping[str, int], storage_options: Mapping[str, str], partition_types: Mapping[str, str], replace: bool) -> tuple[str, str]: ...

    def show(self, name: str) -> tuple[str, str]: ...

    def find(self, *, text: str, column: str, tag: str, owner: str) -> list[tuple[str, str]]: ...

    def tag(self, name: str, tag: str, version: int, *, replace: bool) -> None: ...

    def remove(self, address: str) -> None: ...

    def open_table(self, address: str, *, where: str, storage_options: Mapping[str, str], partition_types: Mapping[str, str], schema: Schema | None, cache_folder: str, version: int | None, as_of: str) -> Dataset: ...

class Features:
    """headrace::Features."""

    @staticmethod
    def from_json(json: str) -> Features: ...

    @staticmethod
    def fit(dataset: Dataset, columns: Sequence[str], num_threads: int | None = None, vocabulary_max: int | None = None, progress: object | None = None) -> Features: ...

    def to_json(self) -> str: ...

    def __str__(self) -> str: ...

def add_filesystem(scheme: str, filesystem: object, display_prefix: str) -> None:
    """headrace::AddFilesystem, of a filesystem of headrace._filesystem."""

def complete_image_ops(json: str) -> str:
    """JSON of image operations, checked, with every parameter."""

def image_ops_text(json: str) -> str:
    """Image operations as Python writes them."""

class Export(enum.Enum):
    """How tensors leave C++."""

    NUMPY = 0

    DLPACK = 1

    WHOLE = 2

class Loader:
    """headrace::Loader, bound to its process."""

    @staticmethod
    def make(dataset: Dataset, *, batch_size: int | None = None, shuffle: bool | None = None, seed: int | None = None, epoch: int | None = None, streams: int | None = None, shuffle_window_rows: int | None = None, rank: int | None = None, world_size: int | None = None, drop_last: bool | None = None, pad_last: bool | None = None, num_threads: int | None = None, memory_budget: int | None = None, arrow: bool = False, trace: str = '', progress: object | None = None) -> Loader: ...

    def next(self, to: Export, number: int) -> Any | None:
        """
        (rows, [(name, column), ...]) of a pass, or as WHOLE (rows, first row, whole); None at its end.
        """

    def empty_batch(self, to: Export) -> Any:
        """A batch of no rows, as next gives it."""

    def batch_rows(self) -> int | None:
        """Rows of every batch, or None where some may have fewer."""

    def restart(self) -> int:
        """Begins a pass and returns its number."""

    def steps(self) -> int: ...

    def set_epoch(self, epoch: int) -> None: ...

    def state_json(self) -> str: ...

    def load_state_json(self, json: str) -> None: ...

    @property
    def epoch(self) -> int: ...

    def stats_json(self) -> str: ...

    def __str__(self) -> str: ...

    def close(self) -> None: ...

class WritePlan:
    """headrace::WritePlan."""

    def __init__(self) -> None: ...

    @property
    def uri(self) -> str: ...

    @uri.setter
    def uri(self, arg: str, /) -> None: ...

    @property
    def job(self) -> str: ...

    @job.setter
    def job(self, arg: str, /) -> None: ...

    @property
    def version(self) -> int | None: ...

    @version.setter
    def version(self, arg: int | None, /) -> None: ...

    @property
    def options(self) -> WriteOptions: ...

    @options.setter
    def options(self, arg: WriteOptions, /) -> None: ...

def plan_write(uri: str, rows: object, options: WriteOptions) -> WritePlan: ...

def stage_files(stream: object, plan: WritePlan, task: int) -> str: ...

def commit_staged(plan: WritePlan, staged: Sequence[str]) -> WriteSummary: ...

def discard_staged(plan: WritePlan) -> None: ...

def history(uri: str, storage_options: Mapping[str, str]) -> str: ...

def diff(uri: str, start: int, end: int, storage_options: Mapping[str, str]) -> str: ...

def restore(uri: str, version: int, storage_options: Mapping[str, str]) -> int: ...

def vacuum(uri: str, older_than_ms: int, dry_run: bool, storage_options: Mapping[str, str]) -> str: ...

class WriteOptions:
    """headrace::WriteOptions."""

    def __init__(self) -> None: ...

    @property
    def mode(self) -> str: ...

    @mode.setter
    def mode(self, arg: str, /) -> None: ...

    @property
    def format(self) -> str: ...

    @format.setter
    def format(self, arg: str, /) -> None: ...

    @property
    def schema(self) -> Schema | None: ...

    @schema.setter
    def schema(self, arg: Schema | None, /) -> None: ...

    @property
    def partition_by(self) -> list[str]: ...

    @partition_by.setter
    def partition_by(self, arg: Sequence[str], /) -> None: ...

    @property
    def sort_by(self) -> list[str]: ...

    @sort_by.setter
    def sort_by(self, arg: Sequence[str], /) -> None: ...

    @property
    def row_group_bytes(self) -> int: ...

    @row_group_bytes.setter
    def row_group_bytes(self, arg: int, /) -> None: ...

    @property
    def file_bytes(self) -> int: ...

    @file_bytes.setter
    def file_bytes(self, arg: int, /) -> None: ...

    @property
    def compression(self) -> str: ...

    @compression.setter
    def compression(self, arg: str, /) -> None: ...

    @property
    def compression_level(self) -> int | None: ...

    @compression_level.setter
    def compression_level(self, arg: int | None, /) -> None: ...

    @property
    def bloom_filters(self) -> list[str]: ...

    @bloom_filters.setter
    def bloom_filters(self, arg: Sequence[str], /) -> None: ...

    @property
    def num_threads(self) -> int: ...

    @num_threads.setter
    def num_threads(self, arg: int, /) -> None: ...

    @property
    def memory_budget(self) -> int: ...

    @memory_budget.setter
    def memory_budget(self, arg: int, /) -> None: ...

    @property
    def storage_options(self) -> dict[str, str]: ...

    @storage_options.setter
    def storage_options(self, arg: Mapping[str, str], /) -> None: ...

    @property
    def catalog(self) -> str: ...

    @catalog.setter
    def catalog(self, arg: str, /) -> None: ...

    @property
    def rows_expected(self) -> int: ...

    @rows_expected.setter
    def rows_expected(self, arg: int, /) -> None: ...

class WriteSummary:
    """headrace::WriteSummary."""

    def to_json(self) -> str: ...

    def __str__(self) -> str: ...

def write(stream: object, uri: str, options: WriteOptions, progress: object | None = None) -> WriteSummary: ...

def compact(uri: str, options: WriteOptions) -> WriteSummary: ...

"""Encoded images for tests, in Parquet."""

import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def photo(height: int, width: int, seed: int = 0, channels: int = 3) -> np.ndarray:
    """Pixels as of a photograph: smooth, with edges and some noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = []
    for _ in range(channels):
        a, b = random.uniform(0.005, 0.06, 2)
        phase = random.uniform(0, 6)
        plane = 128 + 70 * np.sin(a * x + phase) * np.cos(b * y)
        plane[(y - height / 2) ** 2 + (x - width / 3) ** 2 < (height / 5) ** 2] += 60
        planes.append(plane + random.normal(0, 4, plane.shape))
    return np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8)


def encode(pixels: np.ndarray, kind: str = "JPEG", **options: Any) -> bytes:
    """Encode pixels by Pillow."""
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decoded(cell: bytes, mode: str = "RGB") -> np.ndarray:
    """Decode by Pillow, to (height, width, channels)."""
    pixels = np.asarray(Image.open(io.BytesIO(cell)).convert(mode))
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def claiming(height: int, width: int) -> bytes:
    """A PNG of some 60 bytes whose header claims any size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 10))
        + chunk(b"IEND", b"")
    )


def write(folder: Path, cells: list[bytes | None], **options: Any) -> hr.Dataset:
    """Write a table of `id` and binary `image`, and open it."""
    table = pa.table({"id": range(len(cells)), "image": pa.array(cells, pa.binary())})
    pq.write_table(table, folder / "images.parquet", **options)
    return hr.open(folder)


def write_field(
    folder: Path, cells: list[bytes], shape: list[int | None], codec: str
) -> hr.Dataset:
    """Write a table whose `image` is a field of uint8 with a codec, and open it."""
    declared = json.dumps({"format": 1, "dtype": "uint8", "shape": shape, "codec": codec})
    field = pa.field("image", pa.binary(), metadata={"headrace.field": declared})
    table = pa.table({"image": pa.array(cells, pa.binary())}, pa.schema([field]))
    pq.write_table(table, folder / "images.parquet")
    return hr.open(folder)


def images(dataset: hr.Dataset, **options: Any) -> list[np.ndarray]:
    """The images of a dataset in stored order, each by itself."""
    options = {"batch_size": 1, "shuffle": False, **options}
    with dataset.loader(**options) as loader:
        found = [batch["image"][0] for batch in loader if len(batch["image"])]
        stats = loader.stats()
        assert 0 < stats["memory_peak"] <= stats["memory_budget"]
    return found

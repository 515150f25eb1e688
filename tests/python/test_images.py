"""Images by native operations, against Pillow."""

import copy
import io
import pickle
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import pictures
import pyarrow as pa
import pytest
from headrace import errors
from headrace.image import (
    Ops,
    center_crop,
    color_jitter,
    decode,
    flip,
    layout,
    pad_to,
    random_crop,
    random_resized_crop,
    resize,
    to_float,
)
from PIL import Image, ImageOps

FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    assert a.shape == b.shape
    return np.abs(a.astype(int) - b)


def of_one(folder: Path, cell: bytes, ops: Ops, **options: Any) -> np.ndarray:
    dataset = pictures.write(folder, [cell]).map(image=ops)
    return pictures.images(dataset, **options)[0]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(("mode", "theirs"), [("rgb", "RGB"), ("gray", "L")])
def test_decodes_as_pillow(tmp_path: Path, kind: str, mode: Any, theirs: str) -> None:
    cell = pictures.encode(pictures.photo(67, 90), kind)
    expected = pictures.decoded(cell, theirs)
    # Gray JPEGs are their stored luma; Pillow's convert goes by way of RGB.
    tolerance = 3 if (kind, mode) == ("JPEG", "gray") else 1
    assert apart(of_one(tmp_path, cell, decode(mode)), expected).max() <= tolerance


def test_decodes_what_is_stored(tmp_path: Path) -> None:
    cells = [
        pictures.encode(pictures.photo(8, 9, channels=channels), "PNG")
        for channels in (1, 3, 4)
    ]
    dataset = pictures.write(tmp_path, cells).map(image=decode("stored"))
    found = pictures.images(dataset)
    assert [image.shape for image in found] == [(8, 9, 1), (8, 9, 3), (8, 9, 4)]
    for cell, image, mode in zip(cells, found, ["L", "RGB", "RGBA"], strict=True):
        assert (image == pictures.decoded(cell, mode)).all()


SIZES = [(67, 90), (224, 224), (500, 31), (20, 33), (90, 67), (1, 1), (119, 180)]


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["photo", "noise"])
def test_resizes_as_pillow(
    tmp_path: Path, interpolation: Any, size: tuple[int, int], kind: str
) -> None:
    pixels = pictures.photo(119, 180)
    if kind == "noise":
        pixels = np.random.default_rng(5).integers(0, 256, pixels.shape, np.uint8)
    cell = pictures.encode(pixels, "PNG")
    found = of_one(tmp_path, cell, resize(*size, interpolation=interpolation))
    theirs = Image.fromarray(pixels).resize(size[::-1], FILTERS[interpolation])
    assert (apart(found, np.asarray(theirs)) <= 1).mean() >= 0.999


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("channels", [1, 4])
def test_resizes_gray_and_alpha_as_pillow(
    tmp_path: Path, interpolation: Any, channels: int
) -> None:
    pixels = pictures.photo(90, 120, channels=channels)
    ops = decode("stored") | resize(40, 50, interpolation=interpolation)
    found = of_one(tmp_path, pictures.encode(pixels, "PNG"), ops)
    image = Image.fromarray(pixels.squeeze()).resize((50, 40), FILTERS[interpolation])
    theirs = np.asarray(image).reshape(40, 50, channels)
    # Dividing by little alpha makes much of one level.
    seen = slice(None) if channels == 1 else theirs[:, :, 3] > 100
    assert (apart(found[seen], theirs[seen]) <= 2).mean() >= 0.999


def test_resizes_jpegs_as_pillow_without_scaled_decoding(tmp_path: Path) -> None:
    cell = pictures.encode(pictures.photo(375, 500), quality=90)
    found = of_one(tmp_path, cell, decode(dct_scaling=False) | resize(100, 120))
    theirs = Image.open(io.BytesIO(cell)).resize((120, 100), FILTERS["bilinear"])
    assert (apart(found, np.asarray(theirs)) <= 1).mean() >= 0.999


def test_scaled_decoding_is_close_to_full_decoding(tmp_path: Path) -> None:
    cell = pictures.encode(pictures.photo(375, 500), quality=90)
    dataset = pictures.write(tmp_path, [cell])
    for ops in (resize(187), resize(90, 125), resize(40, 60), resize(30)):
        full = pictures.images(dataset.map(image=decode(dct_scaling=False) | ops))[0]
        scaled = pictures.images(dataset.map(image=ops))[0]
        assert 0 < apart(full, scaled).mean() < 1.5
    for ops in (resize(188), center_crop(90), resize(300) | resize(30)):
        full = pictures.images(dataset.map(image=decode(dct_scaling=False) | ops))[0]
        assert (full == pictures.images(dataset.map(image=ops))[0]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_honours_exif_orientation(tmp_path: Path, orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    cell = pictures.encode(pictures.photo(40, 64), kind, exif=exif)
    theirs = ImageOps.exif_transpose(Image.open(io.BytesIO(cell)))
    found = of_one(tmp_path, cell, decode())
    assert apart(found, np.asarray(theirs)).max() <= 1
    # Resizing sees the turned image: the shorter side is that of what is seen.
    resized = of_one(tmp_path, cell, resize(20))
    assert resized.shape == ((20, 32, 3) if orientation < 5 else (32, 20, 3))


def test_crops_and_pads(tmp_path: Path) -> None:
    pixels = pictures.photo(31, 42)
    dataset = pictures.write(tmp_path, [pictures.encode(pixels, "PNG")])

    def made(ops: Ops) -> np.ndarray:
        return pictures.images(dataset.map(image=ops))[0]

    assert (made(center_crop(11, 20)) == pixels[10:21, 11:31]).all()
    assert (made(center_crop(35, 42))[2:33] == pixels).all()
    assert (made(pad_to(40, 50, value=9))[4:35, 4:46] == pixels).all()
    assert (made(pad_to(40, 50, value=9))[:4] == 9).all()
    assert (made(flip(horizontal=1)) == pixels[:, ::-1]).all()
    assert (made(flip(0, vertical=1)) == pixels[::-1]).all()
    assert (made(flip(1) | center_crop(11, 20)) == pixels[10:21, 11:31][:, ::-1]).all()


def test_makes_floats_channels_first_of_any_dtype(tmp_path: Path) -> None:
    pixels = pictures.photo(20, 30)
    mean, std = [0.485, 0.456, 0.406], np.array([0.229, 0.224, 0.225])
    dataset = pictures.write(tmp_path, [pictures.encode(pixels, "PNG")])
    chosen = dataset.map(image=to_float(mean, std) | layout("nchw"))
    expected = ((pixels / 255 - mean) / std).transpose(2, 0, 1)
    found = pictures.images(chosen)[0]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    half = pictures.images(chosen.cast({"image": "float16"}))[0]
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, expected, rtol=1e-3, atol=1e-3)
    wide = pictures.images(dataset.map(image=decode()).cast({"image": "int32"}))[0]
    assert wide.dtype == np.int32
    assert (wide == pixels).all()


def test_batches_images_of_any_size_in_every_format(tmp_path: Path) -> None:
    kinds = ["JPEG", "PNG", "WEBP"]
    cells = [
        pictures.encode(pictures.photo(60 + i, 90 - i, i), kinds[i % 3])
        for i in range(40)
    ]
    dataset = pictures.write(tmp_path, cells, row_group_size=9)
    chosen = dataset.map(image=resize(32, 32))
    with chosen.loader(batch_size=16, seed=3) as loader:
        batches = list(loader)
    assert [batch["image"].shape for batch in batches] == [
        (16, 32, 32, 3),
        (16, 32, 32, 3),
        (8, 32, 32, 3),
    ]
    alone = pictures.images(chosen)
    for batch in batches:
        for row, image in zip(batch["id"], batch["image"], strict=True):
            assert (image == alone[row]).all()


def test_unequal_shapes_are_an_error_or_follow_the_policy(tmp_path: Path) -> None:
    photos = [pictures.photo(8, 9), pictures.photo(8, 9, 1), pictures.photo(10, 7)]
    cells = [pictures.encode(pixels, "PNG") for pixels in photos]
    chosen = pictures.write(tmp_path, cells).map(image=decode())
    options: dict[str, Any] = {"batch_size": 3, "shuffle": False}
    with (
        chosen.loader(**options) as loader,
        pytest.raises(errors.InvalidArgument, match=r"\(8, 9, 3\).*row 0.*\(10, 7, 3\)"),
    ):
        next(iter(loader))
    with chosen.ragged({"image": hr.pad(7)}).loader(**options) as loader:
        padded = next(iter(loader))["image"]
    assert padded.shape == (3, 10, 9, 3)
    assert (padded[0, :8] == photos[0]).all() and (padded[0, 8:] == 7).all()
    assert (padded[2, :, :7] == photos[2]).all() and (padded[2, :, 7:] == 7).all()
    with chosen.ragged({"image": "ragged"}).loader(**options) as loader:
        batch = next(iter(loader))
    assert batch["image_shape"].tolist() == [[8, 9, 3], [8, 9, 3], [10, 7, 3]]
    ends = batch["image_offsets"]
    for i, pixels in enumerate(photos):
        assert (batch["image"][ends[i] : ends[i + 1]] == pixels.reshape(-1)).all()


@pytest.fixture
def hostile(tmp_path: Path) -> hr.Dataset:
    """Good images 0, 4 and 8; the others are none."""
    good = [pictures.encode(pictures.photo(40, 50, i)) for i in range(3)]
    bad = [
        good[0][: len(good[0]) // 2],  # cut off
        b"GIF89a and so on",
        b"",
        pictures.claiming(60_000, 60_000),
        pictures.claiming(100, 100),  # and has ten bytes of them
        good[1][:30],
    ]
    cells = [good[0], *bad[:3], good[1], *bad[3:], good[2]]
    return pictures.write(tmp_path, cells).map(image=resize(16, 16))


def test_bad_images_raise(hostile: hr.Dataset) -> None:
    with (
        hostile.loader(batch_size=2, shuffle=False) as loader,
        pytest.raises(
            errors.Corrupt, match=r'column "image" \(.*row 1\): a damaged JPEG'
        ),
    ):
        list(loader)


def test_bad_images_are_skipped(hostile: hr.Dataset) -> None:
    with hostile.on_error("skip").loader(batch_size=4, shuffle=False) as loader:
        ids = [batch["id"].tolist() for batch in loader]
        skipped = loader.stats()["skipped"]
        assert loader.stats()["memory_peak"] < 64 << 20
    assert ids == [[0], [4], [8]]
    assert len(str(skipped)) > 0


def test_bad_images_become_nulls(hostile: hr.Dataset) -> None:
    chosen = hostile.on_error("null").nulls({"image": "mask"})
    with chosen.loader(batch_size=9, shuffle=False) as loader:
        batch = next(iter(loader))
    there = batch["image_mask"]
    assert there.tolist() == [i % 4 == 0 for i in range(9)]
    assert (batch["image"][~there] == 0).all() and (batch["image"][there] != 0).any()


def test_a_size_bomb_is_refused_by_the_pixel_limit(tmp_path: Path) -> None:
    cells = [pictures.encode(pictures.photo(40, 50))]
    dataset = pictures.write(tmp_path, [*cells, pictures.claiming(50_000, 40_000)])
    with (
        dataset.map(image=resize(8, 8)).loader(batch_size=2) as loader,
        pytest.raises(errors.InvalidArgument, match=r"50000 x 40000 pixels.*pixels_max"),
    ):
        list(loader)
    few = dataset.map(image=decode(pixels_max=1999) | resize(8, 8)).on_error("skip")
    assert pictures.images(few) == []
    enough = dataset.map(image=decode(pixels_max=2000) | resize(8, 8)).on_error("skip")
    assert len(pictures.images(enough)) == 1


def test_nulls_follow_their_policy(tmp_path: Path) -> None:
    cells = [pictures.encode(pictures.photo(9, 9), "PNG"), None]
    chosen = pictures.write(tmp_path, cells).map(image=resize(4, 4))
    with chosen.loader(batch_size=2) as loader, pytest.raises(errors.InvalidArgument):
        list(loader)
    filled = pictures.images(chosen.nulls({"image": hr.fill(9)}))
    assert (filled[1] == 9).all()


@pytest.mark.parametrize("codec", ["raw", "png", "jpeg"])
def test_maps_the_values_of_fields(tmp_path: Path, codec: str) -> None:
    pixels = pictures.photo(28, 30, channels=1)
    cell = pixels.tobytes() if codec == "raw" else pictures.encode(pixels, codec.upper())
    dataset = pictures.write_field(tmp_path, [cell, cell], [28, 30], codec)
    found = pictures.images(dataset.map(image=center_crop(20) | layout("nchw")))[1]
    assert found.shape == (1, 20, 20)
    assert apart(found[0], pixels[4:24, 5:25, 0]).max() <= (40 if codec == "jpeg" else 0)


def test_refuses_columns_that_hold_no_images(tmp_path: Path) -> None:
    dataset = pictures.write(tmp_path, [b""])
    with pytest.raises(errors.InvalidArgument, match='column "id": map takes encoded'):
        dataset.map(id=flip())
    with pytest.raises(errors.NotFound, match='"picture"'):
        dataset.map(picture=flip())
    with pytest.raises(errors.NotFound, match="not selected"):
        dataset.select("id").map(image=flip())
    with pytest.raises(errors.InvalidArgument, match="resize stands after to_float"):
        dataset.map(image=to_float() | resize(8))
    with pytest.raises(errors.InvalidArgument, match="map of 'image'"):
        dataset.map(image="resize")  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidArgument, match="at least one"):
        dataset.map()
    with pytest.raises(errors.InvalidArgument, match="no keyword names as well"):
        dataset.map({"image": flip()}, image=flip())
    assert repr(dataset.map({"image": flip()})) == repr(dataset.map(image=flip()))


def test_datasets_print_and_pickle_with_their_operations(tmp_path: Path) -> None:
    dataset = pictures.write(tmp_path, [pictures.encode(pictures.photo(9, 9))])
    chosen = dataset.map(image=random_resized_crop(4) | flip() | to_float())
    text = "map random_resized_crop(4) | flip() | to_float()"
    assert text in repr(chosen)
    again = pickle.loads(pickle.dumps(chosen))
    assert repr(again) == repr(chosen)
    assert "map" not in repr(pickle.loads(pickle.dumps(dataset)))
    # A column's later operations replace its earlier ones.
    assert "map flip()" in repr(chosen.map(image=flip()))
    # Stored values stay what they are.
    assert chosen.schema.field("image").type == pa.binary()
    assert chosen.to_arrow() == dataset.to_arrow()


EVERY = (
    decode("rgba", pixels_max=1000, dct_scaling=False)
    | resize(256, interpolation="bicubic")
    | center_crop(240, 241)
    | random_crop(np.int64(230))
    | random_resized_crop(224, scale=(0.5, 1), ratio=(1, 2))
    | flip(0.25, 0.75)
    | color_jitter(0.1, 0.2, 0.3, 0.4)
    | pad_to(300, value=7)
    | to_float([0.1, 0.2, 0.3, 0.4], np.float32(2))
    | layout("nchw")
)


def test_operations_print_as_they_are_written() -> None:
    import headrace.image

    names = {name: getattr(headrace.image, name) for name in headrace.image.__all__}
    assert eval(repr(EVERY), names) == EVERY


def test_operations_are_values() -> None:
    for again in (pickle.loads(pickle.dumps(EVERY)), copy.deepcopy(EVERY)):
        assert again == EVERY
        assert hash(again) == hash(EVERY)
    assert Ops.from_json(EVERY.to_json()) == EVERY
    assert flip() != flip(0.25)
    assert flip() == flip(0.5, 0)
    assert flip() != "flip()"
    assert (flip() | resize(8)) | layout("nhwc") == flip() | (resize(8) | layout("nhwc"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: resize(0), "height is 0, expected 1 to 65536"),
        (lambda: resize(2.5), "height is 2.5, expected an integer"),
        (lambda: resize(True), "height is true, expected an integer"),
        (lambda: resize(8, interpolation="nearest"), '"bilinear" or "bicubic"'),
        (lambda: decode("bgr"), '"stored", "gray", "rgb" or "rgba"'),
        (lambda: flip(2), "horizontal is 2, expected 0 to 1"),
        (lambda: flip(float("nan")), "a finite number"),
        (lambda: to_float(std=0), "numbers above 0 for std"),
        (lambda: to_float("mean"), "a number, or one for each channel"),
        (lambda: random_resized_crop(8, scale=0.5), "two numbers"),
        (lambda: layout("chw"), '"nhwc" or "nchw"'),
        (lambda: resize(object()), "resize's height"),
    ],
)
def test_parameters_out_of_their_range_are_refused(make: Any, message: str) -> None:
    with pytest.raises(errors.InvalidArgument, match=message):
        make()

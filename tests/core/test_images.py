"""Opening images: whole, upright as agreed and RGB, or an error that names the file and the remedy."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, ExifTags, Image, features

from argusvl.core.errors import DataError, ImageError
from argusvl.core.images import (
    FORMATS,
    exif_orientation,
    image_size,
    open_image,
    open_reduced,
    open_upright,
    read_header,
    read_image_file,
)


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    path = tmp_path / "photo.jpg"
    Image.fromarray(pixels).save(path, quality=90)
    return path


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, depth: int, pixels: bytes) -> bytes:
    """A PNG whose header claims any size."""
    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def png_claiming(path: Path, width: int, height: int) -> Path:
    """A PNG of some 60 bytes that has no pixels to decode."""
    path.write_bytes(png_of(width, height, 8, b""))
    return path


def with_orientation(path: Path, orientation: int, size: tuple[int, int] = (64, 48)) -> Path:
    """An image, red in its left upper quarter as stored, with an EXIF tag."""
    pixels = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    pixels[: size[1] // 2, : size[0] // 2] = (255, 0, 0)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    return path


def test_a_photograph_opens_as_rgb_and_does_not_hold_the_file(photograph: Path) -> None:
    image = open_image(photograph, exif="refuse")
    photograph.unlink()
    assert (image.mode, image.size) == ("RGB", (64, 48))
    assert np.asarray(image).shape == (48, 64, 3)


@pytest.mark.parametrize(("suffix", "kept"), [("jpg", 0.5), ("jpg", 0.9), ("png", 0.95)])
def test_a_truncated_image_is_an_error_naming_the_file(photograph: Path, suffix: str, kept: float) -> None:
    cut = photograph.with_name(f"cut.{suffix}")
    Image.open(photograph).save(cut)
    cut.write_bytes(cut.read_bytes()[: int(cut.stat().st_size * kept)])
    with pytest.raises(ImageError, match=rf"cut\.{suffix}: damaged or truncated") as raised:
        open_image(cut, exif="refuse")
    assert "copy the file again" in str(raised.value)


def test_a_100_megapixel_header_is_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    path = png_claiming(tmp_path / "bomb.png", 10_000, 10_000)
    with pytest.raises(ImageError, match=r"bomb\.png: 10000×10000 is 100 megapixels.*limit of 64") as raised:
        open_image(path, exif="refuse")
    assert "nothing was decoded" in str(raised.value)
    assert image_size(path) == (10_000, 10_000)
    with pytest.raises(ImageError, match=r"bomb\.png: 10000×10000 is 100 megapixels"):
        read_header(path.read_bytes(), where="bomb.png")
    # Decoding is what fails once the limit allows it: so above, the limit came first.
    with pytest.raises(ImageError, match="damaged"):
        open_image(path, exif="refuse", max_megapixels=101)


def test_a_gigapixel_header_is_refused_too(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"bomb\.png: the header claims"):
        open_image(png_claiming(tmp_path / "bomb.png", 100_000, 100_000), exif="refuse", max_megapixels=1e9)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"these are my notes", "not an image: it begins with b'these are my'"),
        (b"\x89PNG\r\n\x1a\n", "damaged or truncated: it begins as PNG does, but its header cannot be read"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "damaged or truncated: Truncated File Read"),
    ],
)
def test_what_is_no_image_says_what_it_is(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "notes.jpg"
    path.write_bytes(content)
    for opens in (lambda p: open_image(p, exif="refuse"), image_size, exif_orientation):
        with pytest.raises(ImageError, match=f"notes.jpg: {message}"):
            opens(path)
    path.unlink()  # bytes that were read already say the same
    for reads in (
        lambda p: open_image(p, exif="upright", data=content),
        lambda p: read_header(content, where=p),
    ):
        with pytest.raises(ImageError, match=f"notes.jpg: {message}"):
            reads(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.jpg: no such image file"):
        open_image(tmp_path / "gone.jpg", exif="refuse")
    with pytest.raises(ImageError, match="a folder, not an image file"):
        open_image(tmp_path, exif="refuse")


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_image_is_refused_with_the_command_that_mends_it(tmp_path: Path, orientation: int) -> None:
    path = with_orientation(tmp_path / "phone.jpg", orientation)
    assert exif_orientation(path) == orientation
    with pytest.raises(ImageError, match=rf"phone\.jpg: EXIF orientation is {orientation}") as raised:
        open_image(path, exif="refuse")
    assert "argus data convert" in str(raised.value)


@pytest.mark.parametrize(
    ("orientation", "red_corner"),
    # Exif 2.32, tag 0x0112: what the stored row 0 and column 0 are in the picture as seen.
    [
        (1, "top left"),
        (2, "top right"),
        (3, "bottom right"),
        (4, "bottom left"),
        (5, "top left"),
        (6, "top right"),
        (7, "bottom right"),
        (8, "bottom left"),
    ],
)
def test_upright_turns_the_pixels(tmp_path: Path, orientation: int, red_corner: str) -> None:
    path = with_orientation(tmp_path / "phone.png", orientation)
    image = open_image(path, exif="upright")
    assert image.size == ((48, 64) if orientation >= 5 else (64, 48))
    corners = {
        "top left": (0, 0),
        "top right": (image.width - 1, 0),
        "bottom left": (0, image.height - 1),
        "bottom right": (image.width - 1, image.height - 1),
    }
    red = [name for name, xy in corners.items() if image.getpixel(xy) == (255, 0, 0)]
    assert red == [red_corner]
    assert image.getexif().get(ExifTags.Base.Orientation) is None


def test_an_image_that_is_open_already_becomes_what_its_file_gives(tmp_path: Path) -> None:
    path = with_orientation(tmp_path / "phone.png", 6)
    with Image.open(path) as given:
        image, note = open_upright(given)
        assert given.getexif()[ExifTags.Base.Orientation] == 6
    named, same = open_upright(path)
    assert note == same == "turned upright (EXIF 6)"
    assert np.array_equal(np.asarray(image), np.asarray(open_image(path, exif="upright")))
    assert np.array_equal(np.asarray(named), np.asarray(image))
    grey, note = open_upright(Image.new("L", (3, 2), 7))
    assert (grey.getpixel((0, 0)), note) == ((7, 7, 7), "")
    with pytest.raises(DataError, match="PIL.Image.fromarray"):
        open_upright(np.zeros((2, 2, 3)))  # type: ignore[arg-type]


def test_ignore_takes_the_pixels_as_stored(tmp_path: Path) -> None:
    image = open_image(with_orientation(tmp_path / "phone.png", 6), exif="ignore")
    assert image.size == (64, 48)
    assert image.getpixel((0, 0)) == (255, 0, 0)
    assert image_size(tmp_path / "phone.png") == (64, 48)


PALETTE = Image.new("RGB", (8, 8), (10, 20, 30)).convert("P", palette=Image.Palette.ADAPTIVE)


@pytest.mark.parametrize(
    ("name", "stored", "seen", "within"),
    [
        ("grey.png", Image.new("L", (8, 8), 77), (77, 77, 77), 0),
        ("black-and-white.png", Image.new("1", (8, 8), 1), (255, 255, 255), 0),
        ("palette.gif", PALETTE, (10, 20, 30), 0),
        ("print.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)), (255, 0, 0), 14),
    ],
)
def test_other_modes_become_rgb(
    tmp_path: Path, name: str, stored: Image.Image, seen: tuple[int, ...], within: int
) -> None:
    stored.save(tmp_path / name, quality=100)
    pixel = open_image(tmp_path / name, exif="refuse").getpixel((4, 4))
    assert pixel == pytest.approx(seen, abs=within)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_are_laid_over_white(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    image.putpixel((1, 1), (0, 0, 0, 255))
    path = tmp_path / "a.png"
    if mode == "P":  # a palette whose first entry is declared transparent
        palette = Image.new("P", (4, 4), 0)
        palette.putpalette([10, 20, 30, 0, 0, 0])
        palette.putpixel((1, 1), 1)
        palette.save(path, transparency=0)
    else:
        image.convert(mode).save(path)
    opened = open_image(path, exif="refuse")
    assert opened.getpixel((0, 0)) == (255, 255, 255)
    assert opened.getpixel((1, 1)) == (0, 0, 0)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_is_scaled_not_cut(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 256, 32768, 65535]], dtype=np.uint16)
    path = tmp_path / f"deep.{suffix}"
    Image.fromarray(values).save(path)
    assert np.asarray(open_image(path, exif="refuse"))[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize(("bits", "least"), [(8, 200), (10, 800), (12, 3000), (14, 12000), (16, 50000)])
def test_a_camera_that_fills_few_of_16_bits_gives_no_black_picture(
    tmp_path: Path, bits: int, least: int
) -> None:
    values = np.array([[0, least, (1 << bits) - 1]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "camera.png")
    seen = np.asarray(open_image(tmp_path / "camera.png", exif="refuse"))[0, :, 0].tolist()
    assert seen == [0, least >> (bits - 8), 255]


@pytest.mark.parametrize(
    ("name", "form", "mode", "said"),
    [
        ("a.jpg", "JPEG", "RGB", None),
        ("a.JPEG", "JPEG", "L", None),
        ("a.png", "PNG", "RGBA", None),
        ("a", "PNG", "P", None),
        ("a.jpg", "PNG", "RGB", "a PNG named .jpg"),
        ("a.png", "JPEG", "CMYK", "a JPEG named .png; CMYK, converted to RGB"),
        ("a.png", "PNG", "I;16", "more than 8 bits, scaled to 8"),
        ("a.jpg", "GIF", "L", "a GIF named .jpg; animated, the first frame taken"),
    ],
)
def test_a_header_tells_what_opening_will_change(name: str, form: str, mode: str, said: str | None) -> None:
    image = Image.new(mode, (6, 5))
    stream = io.BytesIO()
    more = {"save_all": True, "append_images": [Image.new(mode, (6, 5), 255)]} if form == "GIF" else {}
    image.save(stream, form, **more)
    assert read_header(stream.getvalue(), where=name).converted(name) == said


def test_a_png_of_16_bit_colours_is_deep_though_pillow_opens_it_as_rgb() -> None:
    rows = b"".join(b"\0" + bytes(range(12)) for _ in range(2))  # two pixels of three 16-bit values each
    data = png_of(2, 2, 16, zlib.compress(rows))
    assert read_header(data, where="a.png").deep
    assert open_image("a.png", exif="refuse", data=data).size == (2, 2)


def test_floats_are_stretched_to_their_range(tmp_path: Path) -> None:
    Image.fromarray(np.array([[-1.0, 0.0, 1.0]], dtype=np.float32)).save(tmp_path / "f.tif")
    assert np.asarray(open_image(tmp_path / "f.tif", exif="refuse"))[0, :, 0].tolist() == [0, 128, 255]


def test_bytes_that_were_read_already_are_not_read_again(photograph: Path) -> None:
    data, expected = photograph.read_bytes(), np.asarray(open_image(photograph, exif="upright"))
    header = read_header(data, where=photograph)
    assert (header.format, header.mode, header.size, header.orientation) == ("JPEG", "RGB", (64, 48), 1)
    photograph.unlink()
    assert np.array_equal(np.asarray(open_image(photograph, exif="upright", data=data)), expected)
    assert open_reduced(photograph, 20, data=data).picture.size == (32, 24)


# ---------------------------------------------------------------- which files are opened at all

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n%%EndComments\nshowpage\n%%EOF\n"


def test_postscript_under_another_name_starts_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\necho ran >> {tmp_path}/ran\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # as in a process that has not looked for it yet
    path = tmp_path / "photo.jpg"
    path.write_bytes(POSTSCRIPT)
    for read in (
        lambda: open_image(path, exif="upright"),
        lambda: open_image(path, exif="upright", data=POSTSCRIPT),
        lambda: open_reduced(path, 20),
        lambda: read_header(POSTSCRIPT, where=path),
        lambda: image_size(path),
        lambda: exif_orientation(path),
    ):
        with pytest.raises(
            ImageError, match=r"photo\.jpg: its format is EPS, not AVIF, BMP, GIF, JPEG, PNG, PPM"
        ):
            read()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("suffix", "form"), FORMATS.items())
def test_what_counts_as_an_image_can_be_opened(tmp_path: Path, suffix: str, form: str) -> None:
    if form == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    Image.new("RGB", (16, 8), (200, 20, 20)).save(tmp_path / f"a{suffix}", form)
    assert open_image(tmp_path / f"a{suffix}", exif="refuse").size == (16, 8)


@pytest.mark.parametrize("form", ["ICO", "PCX", "TGA", "JPEG2000"])
def test_other_formats_are_refused(tmp_path: Path, form: str) -> None:
    Image.new("RGB", (16, 8)).save(tmp_path / "a.png", form)
    with pytest.raises(ImageError, match="its format is|not an image"):
        open_image(tmp_path / "a.png", exif="refuse")


def test_pipes_and_devices_are_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    for path, reason in ((tmp_path / "a.jpg", "a pipe, not a file"), (Path("/dev/zero"), "a device, not a")):
        for read in (image_size, exif_orientation, read_image_file, lambda p: open_image(p, exif="upright")):
            with pytest.raises(ImageError, match=reason):
                read(path)

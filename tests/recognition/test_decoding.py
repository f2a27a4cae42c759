"""Two lanes of decoding: the exact one is core's, the scaled one is near it, and both call the same files damaged."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from argusvl.core.errors import ImageError
from argusvl.core.images import open_image
from argusvl.recognition import decoding
from argusvl.recognition.decoding import Lane, decode_bytes, decoder_versions

LANES: tuple[Lane, ...] = ("exact", "scaled")


@pytest.fixture(params=["simplejpeg", "pillow"])
def scaler(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The scaled lane with either decoder."""
    if request.param == "simplejpeg":
        pytest.importorskip("simplejpeg")
    else:
        monkeypatch.setattr(decoding, "simplejpeg", None)
    yield request.param


def photograph(width: int, height: int, seed: int = 0) -> Image.Image:
    """A picture whose power falls with the frequency, as that of photographs does; its colours differ by place."""
    rng = np.random.default_rng(seed)
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :]
    amplitude = 1 / np.maximum(np.hypot(rows, columns), 1 / max(width, height))
    channels = []
    for _ in range(3):
        spectrum = amplitude * np.exp(2j * np.pi * rng.random((height, width)))
        values = np.fft.ifft2(spectrum).real
        channels.append(np.clip(127 + 50 * values / values.std(), 0, 255))
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def encoded(image: Image.Image, form: str = "JPEG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def test_the_exact_lane_is_the_opening_of_core(tmp_path: Path) -> None:
    files = {
        "a.jpg": encoded(photograph(90, 61)),
        "grey.jpg": encoded(photograph(90, 61).convert("L")),
        "cmyk.jpg": encoded(photograph(90, 61).convert("CMYK")),
        "a.png": encoded(photograph(30, 21), "PNG"),
        "see-through.png": encoded(photograph(30, 21).convert("RGBA"), "PNG"),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        expected = np.asarray(open_image(tmp_path / name, exif="upright"))
        assert np.array_equal(np.asarray(decode_bytes(data, name, "exact", 8)), expected)


@pytest.mark.parametrize(
    ("size", "factor"),
    [
        ((448, 448), 2),
        ((447, 900), 1),
        ((900, 449), 2),
        ((1000, 897), 4),
        ((1800, 1792), 8),
        ((3000, 230), 1),
    ],
)
def test_the_scaled_picture_is_as_small_as_allowed(scaler: str, size: tuple[int, int], factor: int) -> None:
    picture = decode_bytes(encoded(Image.new("RGB", size, (90, 40, 200))), "a.jpg", "scaled", 224)
    assert picture.size == (-(-size[0] // factor), -(-size[1] // factor))
    assert min(picture.size) >= 224
    assert np.abs(np.asarray(picture, int) - (90, 40, 200)).max() <= 2


@pytest.mark.parametrize(
    "options", [{"quality": 90}, {"quality": 90, "progressive": True}, {"quality": 95, "subsampling": 0}]
)
def test_the_scaled_lane_is_near_the_exact_one(scaler: str, options: dict[str, object]) -> None:
    """On average within 4 of 255 levels; swapped channels or a picture that is moved would be far outside."""
    data = encoded(photograph(500, 350), **options)

    def small(picture: Image.Image) -> np.ndarray:
        return np.asarray(picture.resize((160, 112), Image.Resampling.BICUBIC), dtype=float)

    exact, scaled = (small(decode_bytes(data, "a.jpg", lane, 112)) for lane in LANES)
    assert np.abs(scaled - exact).mean() < 4
    assert np.abs(scaled[..., ::-1] - exact).mean() > 20
    assert np.abs(scaled[:, 2:] - exact[:, :-2]).mean() > 8


def test_both_decoders_of_the_scaled_lane_give_the_same_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("simplejpeg")
    for image in (photograph(350, 250), photograph(250, 351).convert("L")):
        data = encoded(image, quality=88)
        by_simplejpeg = np.asarray(decode_bytes(data, "a.jpg", "scaled", 56), int)
        with monkeypatch.context() as patch:
            patch.setattr(decoding, "simplejpeg", None)
            by_pillow = np.asarray(decode_bytes(data, "a.jpg", "scaled", 56), int)
        assert by_simplejpeg.shape == by_pillow.shape
        assert np.abs(by_simplejpeg - by_pillow).max() <= 2  # each brings its own build of libjpeg-turbo


@pytest.mark.parametrize("orientation", range(1, 9))
def test_both_lanes_turn_the_picture_upright(scaler: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = encoded(photograph(320, 240), quality=95, exif=exif)
    exact, scaled = (decode_bytes(data, "a.jpg", lane, 60) for lane in LANES)
    assert (exact.size[0] > exact.size[1]) == (orientation <= 4)
    assert scaled.size == (exact.size[0] // 4, exact.size[1] // 4)
    difference = np.abs(np.asarray(scaled, float) - np.asarray(exact.reduce(4), float))
    assert difference.mean() < 3


MORE = {"save_all": True, "append_images": [Image.new("RGB", (300, 200), "red")]}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("png.jpg", encoded(photograph(300, 200), "PNG")),
        ("cmyk.jpg", encoded(photograph(300, 200).convert("CMYK"))),
        ("sixteen.png", encoded(Image.fromarray(np.arange(60000, dtype=np.uint16).reshape(200, 300)), "PNG")),
        *(
            (f"animated.{form.lower()}", encoded(photograph(300, 200), form, **MORE))
            for form in ("GIF", "WEBP")
        ),
        ("small.jpg", encoded(photograph(60, 40))),
    ],
)
def test_what_cannot_be_scaled_goes_the_exact_way(scaler: str, name: str, data: bytes) -> None:
    exact, scaled = (decode_bytes(data, name, lane, 30) for lane in LANES)
    assert exact.mode == scaled.mode == "RGB"
    assert np.array_equal(np.asarray(exact), np.asarray(scaled))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_cut_file_is_the_same_error_in_both_lanes(scaler: str, form: str, tmp_path: Path) -> None:
    data = encoded(photograph(120, 80), form)
    refused = 0
    for kept in (0, 1, 10, len(data) // 10, len(data) // 2, len(data) - 200):
        file = tmp_path / f"{kept}.{form.lower()}"
        messages = []
        for lane in LANES:
            try:
                decode_bytes(data[:kept], file, lane, 50)
                messages.append("")
            except ImageError as error:
                messages.append(str(error))
        assert len(set(messages)) == 1, messages
        assert "0x" not in messages[0].replace(
            "\\x", ""
        )  # no address of an object, which would differ by run
        assert messages[0] == "" or str(file) in messages[0]
        refused += messages[0] != ""
    assert refused == 6


def test_a_header_that_claims_too_much_is_refused_before_anything_is_decoded() -> None:
    data = bytearray(encoded(Image.new("RGB", (64, 64))))
    start = data.index(b"\xff\xc0")  # frame header: length, precision, height, width
    data[start + 5 : start + 9] = (10_000).to_bytes(2, "big") * 2
    for lane in LANES:
        with pytest.raises(
            ImageError, match=r"bomb\.jpg: 10000×10000 is 100 megapixels.*nothing was decoded"
        ):
            decode_bytes(bytes(data), "bomb.jpg", lane, 224)


def test_what_one_decoder_objects_to_is_judged_alike_in_both_lanes(scaler: str) -> None:
    """Bytes that do not belong there: Pillow lets them pass, and so must the scaled lane."""
    data = encoded(photograph(300, 200))
    for odd in (data + b"trailing bytes", data[:-2] + b"\x00" * 64 + data[-2:]):
        exact, scaled = (decode_bytes(odd, "a.jpg", lane, 50) for lane in LANES)
        assert scaled.size == (75, 50)
        assert np.abs(np.asarray(scaled, float) - np.asarray(exact.reduce(4), float)).mean() < 3


def test_versions_name_what_decodes(scaler: str) -> None:
    assert set(decoder_versions("exact")) == {"pillow", "libjpeg-turbo"}
    assert ("simplejpeg" in decoder_versions("scaled")) == (scaler == "simplejpeg")
    assert all(isinstance(version, str) and version for version in decoder_versions("scaled").values())

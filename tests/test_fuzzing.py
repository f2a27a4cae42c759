"""Files that somebody has changed, by the hundred and the same ones each time: formats, hands' readers, checkpoints.

Each ends in time, in success or in an error that a user can mend; no file outside of what was named is opened, and
what was there stays as it was.
"""

from __future__ import annotations

import copy
import json
import random
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from argusvl.assets import model_folder
from argusvl.core.errors import ArgusError
from argusvl.detection.data.formats import FORMATS, format_of
from argusvl.detection.data.formats.base import PlacedRecord
from argusvl.detection.data.preparing.convert import ConvertOptions, convert
from argusvl.detection.data.records import ObjectAnnotation, Record, Scene
from argusvl.detection.predict import Predictor
from argusvl.manipulation.data.reading import open_hands
from argusvl.manipulation.predict import HandPredictor, HandQuery
from argusvl.manipulation.predict.checkpoint import HandAssets

SECONDS = 60
"""After which a case counts as endless; the slowest takes one, and many times that on a machine that is busy."""

opened: set[str] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if opened is not None and event == "open" and isinstance(arguments[0], str | bytes):
        opened.add(str(arguments[0]))


sys.addaudithook(_note)


class Endless(BaseException):
    """Not even a handler of all exceptions takes it."""


@pytest.fixture(autouse=True)
def watched(tmp_path: Path) -> Iterator[Path]:
    """A folder whose files nobody has named, and the watch over it."""
    global opened
    outside = tmp_path / "outside"
    outside.mkdir()
    Image.new("RGB", (320, 240), "red").save(outside / "secret.png")
    before, opened = contents(outside), set()
    yield outside
    seen, opened = opened, None
    assert not [name for name in seen if "outside" in name.split("/") or name == "/etc/hostname"]
    assert contents(outside) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


# --- changes ---------------------------------------------------------------------------------------------------------

VALUES: list[Any] = [None, True, 0, -1, 3, 10**12, -(10**400), 1e308, 0.5, float("inf"), float("nan")]
VALUES += ["", "x", "\0", "a\ud800", "../outside/secret.png", "/etc/hostname", "link.png", "a" * 5000]
VALUES += ["板/板", "1e5", [], {}, [[]], [None] * 30, [float("nan")] * 4, {"a": {"b": [1, 2]}}, [1, 2]]
VALUES += ["../" * 40 + "etc/hostname"]


def changed_json(rng: random.Random, value: Any) -> str:
    """A JSON value with some of its parts replaced, removed or repeated."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        places = list(_places(value))
        if not places:
            break
        holder, key = rng.choice(places)
        kind = rng.random()
        if kind < 0.15:
            del holder[key]
        elif kind < 0.25 and isinstance(holder, list):
            holder.extend([holder[key]] * rng.choice((1, 50)))
        else:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
    text = json.dumps(value)
    if rng.random() < 0.1:
        text = text.replace("null", "[" * 3000 + "]" * 3000, 1)
    return text if rng.random() > 0.1 else text[: rng.randrange(len(text) + 1)]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def changed_bytes(rng: random.Random, content: bytes) -> bytes:
    """Bytes that were cut, changed, repeated, or had others put between them."""
    begin, end = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    between = rng.choice(
        (b"", b"\0", b"\xff\xfe", b"../outside/secret.png", b"9" * 400, b"nan", b"-1", b"<![CDATA[", b"{")
    )
    kind = rng.randrange(4)
    if kind == 0:
        return content[:begin]
    if kind == 1:
        return content[:begin] + between + content[begin:]
    if kind == 2:
        return content[:begin] + between + content[min(end, begin + 8) :]
    return content[:end] + content[begin:end] * 3 + content[end:]


def change(rng: random.Random, file: Path) -> None:
    """Changes a file as its kind allows."""
    content = file.read_bytes()
    if file.suffix == ".json" and rng.random() < 0.8:
        file.write_text(changed_json(rng, json.loads(content)))
    elif file.suffix == ".jsonl" and rng.random() < 0.8:
        file.write_text("".join(changed_json(rng, json.loads(line)) + "\n" for line in content.splitlines()))
    else:
        file.write_bytes(changed_bytes(rng, content))


def survives(rng: random.Random, files: list[Path], use: Callable[[], object]) -> bool:
    """Changes one of some files, uses them, and puts it back; whether they were of use."""
    file = rng.choice(files)
    before = file.read_bytes()
    change(rng, file)
    now = file.read_bytes()

    def endless(*_: object) -> None:
        raise Endless(f"{file.name} is read without end: {now[:2000]!r}")

    previous = signal.signal(signal.SIGALRM, endless)
    signal.alarm(SECONDS)
    try:
        use()
    except ArgusError:
        return False
    except Exception as error:
        raise AssertionError(f"{file.name} made {type(error).__name__}: {now[:2000]!r}") from error
    else:
        return True
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
        assert file.read_bytes() == now, "what was given has changed"
        file.write_bytes(before)


def fuzz(seed: int, times: int, files: list[Path], use: Callable[[], object]) -> list[bool]:
    """Uses the files as they are, then so many times with one of them changed; when they were of use still."""
    use()
    rng = random.Random(seed)
    good = [survives(rng, files, use) for _ in range(times)]
    assert not all(good)
    return good


# --- what is changed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_formats(name: str, tmp_path: Path) -> None:
    chosen, source, out = format_of(name), tmp_path / "source", tmp_path / "out"
    image = f"{chosen.image_folder.format(split='train')}/a.jpg"
    objects = (ObjectAnnotation((0, 0, 37, 41), "cell"), ObjectAnnotation((3, 4, 20, 30), "板/未安装"))
    record = PlacedRecord("train", Record(Scene((image,), objects)), {image: (64, 48)})
    (source / image).parent.mkdir(parents=True)
    Image.new("RGB", (64, 48)).save(source / image)
    for link in (source / "link.png", (source / image).parent / "link.png"):
        if not link.is_symlink():
            link.symlink_to(tmp_path / "outside" / "secret.png")
    files = []
    for file, text in chosen.write([record], "en"):
        (source / file).parent.mkdir(parents=True, exist_ok=True)
        (source / file).write_text(text, encoding="utf-8")
        files.append(source / file)

    def use() -> None:
        shutil.rmtree(out, ignore_errors=True)
        convert(source, out, ConvertOptions(name, 784, 3136, val_fraction=0))

    assert any(fuzz(20, 40, files, use))


@pytest.mark.parametrize("name", ["folder", "coco"])
def test_hands(name: str, tmp_path: Path) -> None:
    mean = HandAssets.load(model_folder("argus-hand")).mean_pose
    joints = 4 * (mean - mean[0])  # of poses in all directions the mean is small
    joints[:, 2] += 0.7
    u, v = (160 + 400 * joints[:, 0] / joints[:, 2], 120 + 400 * joints[:, 1] / joints[:, 2])
    left, top, right, bottom = (float(x) for x in (u.min(), v.min(), u.max(), v.max()))
    root = tmp_path / "source"
    root.mkdir()
    Image.new("RGB", (320, 240)).save(root / "a.png")
    (root / "link.png").symlink_to(tmp_path / "outside" / "secret.png")
    declared = {"unit": "m", "joint_order": "openpose", "pixel_origin": "corner"}
    if name == "folder":
        box = [left, top, right, bottom]
        hand = {"image": "a.png", "side": "right", "box": box, "joints": joints.tolist()}
        camera = {"K": [[400, 0, 160], [0, 400, 120], [0, 0, 1]], "K_size": [320, 240]}
        pose = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.6]]
        held = {"held": {"name": "box", "pose": pose, "size": [0.1, 0.1, 0.1]}}
        value: Any = declared | camera | {"hands": [hand, hand | held | {"contact": [True] * 21}]}
        file, options = root / "hands.json", {}
    else:
        annotation = {
            "id": 7, "image_id": 3, "hand_type": "right", "bbox": [left, top, right - left, bottom - top],
            "joints_coord_cam": joints.tolist(), "joint_valid": [1] * 21,
            "cam_param": {"focal": [400.0, 400.0], "princpt": [160.0, 120.0]},
        }  # fmt: skip
        image = {"id": 3, "file_name": "a.png", "width": 320, "height": 240}
        value = {"images": [image], "annotations": [annotation]}
        file, options = root / "train.json", declared | {"images": str(root)}
    file.write_text(json.dumps(value))

    def use() -> None:
        with warnings.catch_warnings(action="error", category=RuntimeWarning):  # of numpy: nothing overflows
            records, findings = open_hands(root if name == "folder" else file, name, options).read()
        if findings:
            raise ArgusError(str(findings[0]))
        assert records and all(np.isfinite(record.camera).all() for record in records)

    fuzz(21, 80, [file], use)


def test_checkpoints_of_hands(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model_folder("argus-hand"), tmp_path / "checkpoint"))
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")

    def use() -> None:
        HandPredictor.from_pretrained(folder).predict(
            [tmp_path / "a.png"], [HandQuery(box_xyxy_px=[1, 1, 60, 40])]
        )

    fuzz(22, 40, [folder / "config.json", folder / "argus.json"], use)


def test_checkpoints_of_detection(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model_folder("argus-tiny"), tmp_path / "checkpoint"))
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    names = ("config.json", "argus.json", "qwen/config.json", "qwen/generation_config.json")
    names += ("qwen/preprocessor_config.json", "qwen/tokenizer_config.json", "qwen/chat_template.jinja")

    def use() -> None:
        Predictor.from_pretrained(folder).predict_detection([tmp_path / "a.png"], captions=False)

    fuzz(23, 25, [folder / name for name in names], use)


def test_files_of_weights(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model_folder("argus-hand"), tmp_path / "checkpoint"))
    file = folder / "model.safetensors"
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    rng = random.Random(24)
    for _ in range(20):
        header = changed_json(rng, json.loads(content[8 : 8 + length])).encode("utf-8", "replace")
        size = len(header) if rng.random() < 0.8 else rng.choice((0, 2**63, 10**9))
        file.write_bytes(size.to_bytes(8, "little") + header + content[8 + length :])
        with pytest.raises(ArgusError):
            HandPredictor.from_pretrained(folder)

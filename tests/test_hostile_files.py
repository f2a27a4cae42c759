"""Files that somebody has changed: small valid data sets and checkpoints, mutated at random from fixed seeds.

Whatever stands in them, reading ends in time, with an error of ours or without; nothing outside of their folder is
opened, and nothing in it is changed.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from argusvl.assets import model_folder
from argusvl.core.errors import ArgusError
from argusvl.detection.data.formats import FORMATS, format_of
from argusvl.detection.data.formats.base import PlacedImage, PlacedRecord, PlacedScene, WriteOptions
from argusvl.detection.data.preparing.convert import ConvertOptions, convert
from argusvl.detection.data.records import ObjectAnnotation
from argusvl.detection.predict import Predictor
from argusvl.manipulation.data.reading import open_hands
from argusvl.manipulation.predict import HandPredictor
from argusvl.synthetic import draw_set

MUTATIONS = 20
"""Of each data set; a checkpoint takes longer to load."""
OF_A_CHECKPOINT = 7
MOST_SECONDS = 10.0
"""Of one reading, on a busy machine: what hangs takes for ever."""
OUTSIDE = "outside-of-the-data"

_opened: list[str] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened is not None and event == "open" and OUTSIDE in str(arguments[0]):
        _opened.append(str(arguments[0]))


sys.addaudithook(_note)  # for good: a hook cannot be taken away


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[None]:
    """In the body a folder of others is read."""
    global _opened
    before, began = contents(folder), time.monotonic()
    _opened = []
    try:
        with (
            contextlib.suppress(ArgusError),
            warnings.catch_warnings(action="error", category=RuntimeWarning),
        ):
            yield
        assert not _opened, f"opened {_opened}"
    finally:
        _opened = None
    assert time.monotonic() - began < MOST_SECONDS
    assert contents(folder) == before


def contents(folder: Path) -> dict[str, bytes | None]:
    files = sorted(folder.rglob("*"))
    return {str(p): None if p.is_symlink() or p.is_dir() else p.read_bytes() for p in files}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Where a data set is to be written, beside a picture that is none of it."""
    (tmp_path / OUTSIDE).mkdir()
    Image.new("RGB", (64, 48)).save(tmp_path / OUTSIDE / "secret.jpg")
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


# --- mutations


def hostile(rng: random.Random, data: Path) -> Any:
    """A value that no tool should write."""
    secret = data.parent / OUTSIDE / "secret.jpg"
    deep: Any = 1
    for _ in range(60):
        deep = [deep]
    values: list[Any] = [
        None,
        True,
        -1,
        0,
        1,
        1e308,
        -(10**12),
        10**30,
        float("nan"),
        float("inf"),
        "",
        "x",
        "\0",
    ]
    values += [
        "a" * 300,
        [],
        {},
        [[]],
        {"a": 1},
        deep,
        "C:\\secret.jpg",
        "images/../../x.jpg",
        "é" * 40,
        "-0",
    ]
    values += [
        "1" * 5000,
        str(secret),
        *(f"{up}{OUTSIDE}/secret.jpg" for up in ("../", "../../", "../../../")),
    ]
    return rng.choice(values)


def mutated_json(value: Any, rng: random.Random, data: Path) -> Any:
    """With one node, anywhere, replaced, removed or doubled."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        keys = node.keys() if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in list(keys):
            places.append((node, key))
            walk(node[key])

    walk(value)
    if not places or rng.random() < 0.05:
        return hostile(rng, data)
    node, key = rng.choice(places)
    kind = rng.random()
    if kind < 0.7:
        node[key] = hostile(rng, data)
    elif kind < 0.85:
        del node[key]
    elif isinstance(node, list):
        node.append(node[key])
    else:
        node[f"{key}_"] = node.pop(key)
    return value


def mutated_bytes(content: bytes, rng: random.Random, data: Path) -> bytes:
    """Cut, flipped, doubled, or with a piece of text replaced."""
    place = rng.randrange(len(content) + 1)
    piece = str(hostile(rng, data)).encode("utf-8", "replace")
    return rng.choice(
        [
            lambda: content[:place],
            lambda: content[:place] + bytes([rng.randrange(256)]) + content[place + 1 :],
            lambda: content[:place] + piece + content[place + rng.randrange(12) :],
            lambda: content[:place] + content[place // 2 :],
            lambda: b"\xef\xbb\xbf\xff" + content,
            lambda: content.replace(b"1", piece, 1),
            lambda: content[:place] + b"[" * 3000 + content[place:],
        ]
    )()


def mutate(file: Path, rng: random.Random, data: Path) -> None:
    """Changes a file: one of JSON, or of lines of it, mostly in its values."""
    content = file.read_bytes()
    with contextlib.suppress(ValueError):
        if file.suffix in (".json", ".jsonl") and rng.random() < 0.75:
            lines = content.decode().splitlines() if file.suffix == ".jsonl" else [content.decode()]
            number = rng.randrange(len(lines))
            lines[number] = json.dumps(mutated_json(json.loads(lines[number]), rng, data))
            file.write_text("\n".join(lines), encoding="utf-8")
            return
    file.write_bytes(mutated_bytes(content, rng, data))


def mutate_one(root: Path, rng: random.Random, *suffixes: str) -> Path:
    """Changes one of the files below a folder; now and then a picture becomes a link out of it."""
    files = sorted(p for p in root.rglob("*") if p.is_file())
    pictures = [p for p in files if p.suffix in (".jpg", ".png")]
    if pictures and rng.random() < 0.1:
        pictures[0].unlink()
        pictures[0].symlink_to(root.parent / OUTSIDE / "secret.jpg")
        return pictures[0]
    chosen = rng.choice([p for p in files if p.suffix in suffixes] or files)
    mutate(chosen, rng, root)
    return chosen


# --- what is read


@pytest.mark.parametrize("name", FORMATS)
def test_a_data_set_of_others_is_converted_or_refused(name: str, data: Path, tmp_path: Path) -> None:
    chosen = format_of(name)
    picture = f"{chosen.image_folder.format(split='train')}/a.jpg"
    objects = ObjectAnnotation((0, 0, 37, 41), "cell"), ObjectAnnotation((5, 6, 30, 40), "nut")
    record = PlacedRecord("train", PlacedScene((PlacedImage(picture, (64, 48)),), objects))
    for seed in range(MUTATIONS):
        rng = random.Random(f"{name} {seed}")
        shutil.rmtree(data)
        (data / picture).parent.mkdir(parents=True)
        Image.new("RGB", (64, 48)).save(data / picture)
        for file, text in chosen.write([record], WriteOptions()):
            (data / file).parent.mkdir(parents=True, exist_ok=True)
            (data / file).write_text(text, encoding="utf-8")
        mutate_one(data, rng, *{Path(file).suffix for file, _ in chosen.write([record], WriteOptions())})
        options = ConvertOptions(name, min_pixels=784, max_pixels=78400, val_fraction=0.0, workers=1)
        out = tmp_path / f"out-{seed}"
        with reading(data):
            convert(data, out, options)
        assert not out.exists() or (out / "manifest.json").is_file(), "a part of it was left"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "hands"
    draw_set("hands", folder, images=2, seed=1)
    return folder


def _as_folder(drawn: Path, data: Path) -> tuple[Path, dict[str, Any]]:
    shutil.copytree(drawn, data, dirs_exist_ok=True)
    return data, {}


def _as_freihand(drawn: Path, data: Path) -> tuple[Path, dict[str, Any]]:
    hands = json.loads((drawn / "hands.json").read_text("utf-8"))["hands"]
    (data / "training" / "rgb").mkdir(parents=True)
    for number in range(8):  # two hands before four backgrounds
        shutil.copy(drawn / hands[number % 2]["image"], data / "training" / "rgb" / f"{number:08d}.jpg")
    for name, key in (("K", "K"), ("xyz", "joints")):
        (data / f"training_{name}.json").write_text(json.dumps([one[key] for one in hands]), encoding="utf-8")
    return data, {}


def _as_coco(drawn: Path, data: Path) -> tuple[Path, dict[str, Any]]:
    hands = json.loads((drawn / "hands.json").read_text("utf-8"))["hands"]
    shutil.copytree(drawn / "images", data / "images")
    images, annotations = [], []
    for number, one in enumerate(hands):
        (x1, y1, x2, y2), (width, height), k = one["box"], one["K_size"], one["K"]
        images.append({"id": number, "file_name": Path(one["image"]).name, "width": width, "height": height})
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "hand_type": one["side"],
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "joints_coord_cam": one["joints"],
                "cam_param": {"focal": [k[0][0], k[1][1]], "princpt": [k[0][2], k[1][2]]},
            }
        )
    (data / "train.json").write_text(json.dumps({"images": images, "annotations": annotations}), "utf-8")
    declared = {"unit": "m", "joint_order": "openpose", "pixel_origin": "corner"}
    return data / "train.json", {"images": str(data / "images"), **declared}


@pytest.mark.parametrize("name", ["folder", "freihand", "coco"])
def test_hands_of_others_are_read_or_refused(name: Any, drawn: Path, data: Path) -> None:
    write = {"folder": _as_folder, "freihand": _as_freihand, "coco": _as_coco}[name]
    for seed in range(4 * MUTATIONS):
        shutil.rmtree(data)
        data.mkdir()
        path, options = write(drawn, data)
        if seed:  # the first is as it should be
            mutate_one(data, random.Random(f"{name} {seed}"), ".json")
        read: list[Any] = []
        with reading(data):
            read += open_hands(path, name, options).read(None)[0]
        assert seed or read, name  # of FreiHAND right hands alone


TRUSTED = (".json", ".jinja", ".safetensors", ".jsonl")


@pytest.mark.parametrize("name", ["argus-tiny", "argus-hand"])
@pytest.mark.parametrize("seed", range(OF_A_CHECKPOINT))
def test_a_checkpoint_is_loaded_or_refused(seed: int, name: str, data: Path) -> None:
    load: Any = Predictor if name == "argus-tiny" else HandPredictor
    shutil.rmtree(data)
    shutil.copytree(model_folder(name), data)
    if seed:
        changed = mutate_one(data, random.Random(f"{name} {seed}"), ".json", ".json", ".jinja")
        assert changed.suffix in TRUSTED
    loaded: list[Any] = []
    with reading(data):
        loaded.append(load.from_pretrained(data, device="cpu"))
    assert seed or loaded


def test_what_is_read_outside_and_what_is_changed_is_noticed(data: Path) -> None:
    with pytest.raises(AssertionError, match="opened"), reading(data):
        (data / ".." / OUTSIDE / "secret.jpg").read_bytes()
    with pytest.raises(AssertionError), reading(data):
        (data / "new").touch()

"""A small record file with pictures, a tokenizer and processor for it, and a folder to write sources into."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from transformers.tokenization_utils_tokenizers import TokenizersBackend

from argusvl.detection.data.descriptions import scenes_of
from argusvl.detection.data.formats import format_of
from argusvl.detection.data.formats.base import Annotation, ReadOptions, Source
from argusvl.detection.data.prompts import PROMPTS
from argusvl.detection.data.records import ObjectAnnotation, Record, RecordFile, Scene, write_records
from argusvl.detection.data.sampling.conversation import ChatProcessor, OverLengthPolicy
from argusvl.detection.data.sampling.samples import VisionLimits
from argusvl.detection.data.sampling.tokenizer import tokenizer_texts, train_tokenizer

DESCRIPTIONS = ("螺丝连接点/BBU安装螺丝/连接正确", "挡风板/已安装", "标签贴纸", 'red "cell" {x}')


@dataclass(frozen=True)
class PhotoSet:
    """Records on disk: ``train`` (12 pictures), ``pool`` (5 other pictures), and how large a picture may be."""

    folder: Path
    train: RecordFile
    pool: RecordFile
    limits: VisionLimits


def random_objects(
    rng: np.random.Generator, count: int, width: int = 112, height: int = 84
) -> tuple[ObjectAnnotation, ...]:
    objects = []
    for _ in range(count):
        x1, y1 = int(rng.integers(0, width - 10)), int(rng.integers(0, height - 10))
        x2, y2 = int(rng.integers(x1 + 4, width + 1)), int(rng.integers(y1 + 4, height + 1))
        box = (float(x1), float(y1), float(x2), float(y2))
        objects.append(ObjectAnnotation(bbox_2d=box, desc=DESCRIPTIONS[int(rng.integers(len(DESCRIPTIONS)))]))
    return tuple(objects)


def save_picture(path: Path, rng: np.random.Generator, width: int = 112, height: int = 84) -> None:
    Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)


@pytest.fixture(scope="session")
def photo_set(tmp_path_factory: pytest.TempPathFactory) -> PhotoSet:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    files = {}
    for name, count in (("train", 12), ("pool", 5)):
        records = []
        for number in range(count):
            picture = f"{name}{number}.png"
            save_picture(folder / picture, rng)
            objects = random_objects(rng, int(rng.integers(0, 6)))
            records.append(Record(Scene((picture,), objects)))
        write_records(folder / f"{name}.jsonl", records)
        files[name] = RecordFile(folder / f"{name}.jsonl")
    limits = VisionLimits(
        28 * 28, 112 * 112, vision_tokens_warn=16, vision_tokens_max=16, vision_tokens_policy="refuse"
    )
    return PhotoSet(folder, files["train"], files["pool"], limits)


@pytest.fixture(scope="session")
def chat_tokenizer(photo_set: PhotoSet) -> TokenizersBackend:
    prompts = [text for p in PROMPTS.values() for text in (p.system, p.find, p.several)]
    return train_tokenizer(
        tokenizer_texts(scenes_of(photo_set.train), prompts, max_side=500, seed=0, numbers=200), 700
    )


MakeProcessor = Callable[..., ChatProcessor]


@pytest.fixture(scope="session")
def make_processor(chat_tokenizer: TokenizersBackend) -> MakeProcessor:
    def make(
        language: str = "zh", max_length: int = 2000, policy: OverLengthPolicy = "refuse"
    ) -> ChatProcessor:
        return ChatProcessor(
            chat_tokenizer, prompt_language=language, model_max_length=max_length, over_length_policy=policy
        )

    return make


@pytest.fixture(scope="session")
def processor(make_processor: MakeProcessor) -> ChatProcessor:
    return make_processor()


@pytest.fixture
def write_scene(tmp_path: Path) -> Callable[..., RecordFile]:
    """Writes one record with its pictures and opens it."""

    def write(
        *objects: ObjectAnnotation, images: int = 1, teachers: int = 0, size: tuple[int, int] = (112, 84)
    ) -> RecordFile:
        rng = np.random.default_rng(1)
        names = tuple(f"picture{number}.png" for number in range(images))
        for name in names:
            save_picture(tmp_path / name, rng, *size)
        shown = []
        for number in range(teachers):
            save_picture(tmp_path / f"teacher{number}.png", rng)
            shown.append(Scene((f"teacher{number}.png",), random_objects(rng, 2)))
        write_records(tmp_path / "scene.jsonl", [Record(Scene(names, objects), tuple(shown))])
        return RecordFile(tmp_path / "scene.jsonl")

    return write


@dataclass(frozen=True)
class SourceFolder:
    """Writes images and annotation files below a folder, and reads them."""

    root: Path

    def image(self, name: str, size: tuple[int, int] = (64, 48), orientation: int | None = None) -> Path:
        """One colour all over; ``size`` is that of the stored pixels."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        if orientation is not None:
            exif[ExifTags.Base.Orientation] = orientation
        Image.new("RGB", size, (90, 120, 60)).save(path, exif=exif)
        return path

    def text(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    def json(self, name: str, value: Any, **keywords: Any) -> Path:
        return self.text(name, json.dumps(value, ensure_ascii=False, **keywords))

    def lines(self, name: str, *values: Any) -> Path:
        return self.text(name, "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))

    def read(self, format_name: str, path: str = "", **options: Any) -> Source:
        return format_of(format_name).read(self.root / path, ReadOptions(**options))

    @staticmethod
    def found(listed: Source) -> list[tuple[str, str]]:
        """``(kind, where)`` of the findings of a listed source and of all its annotations."""
        findings = [*listed.findings, *(f for image in listed.images for f in image.annotate().findings)]
        return [(one.slug, one.where) for one in findings]

    @staticmethod
    def splits(listed: Source) -> dict[str, str | None]:
        return {image.name: image.split for image in listed.images}

    @staticmethod
    def objects(read: Annotation) -> list[tuple[str, tuple[float, ...]]]:
        return [(one.label, one.box_xyxy_px) for one in read.objects]


@pytest.fixture
def source(tmp_path: Path) -> SourceFolder:
    """An empty one, in a folder of its own."""
    (tmp_path / "source").mkdir()
    return SourceFolder(tmp_path / "source")

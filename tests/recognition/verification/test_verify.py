"""Seed 004's checklist: a healthy backbone passes, and each known fault is caught by the check that is meant for it."""

from __future__ import annotations

import functools
import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from argusvl.core.errors import ConfigError, DataError
from argusvl.recognition.backbones.protocol import BackboneFingerprint
from argusvl.recognition.verification.pictures import drawn_pictures, folder_pictures
from argusvl.recognition.verification.verdict import GROUPS, Group
from argusvl.recognition.verification.verify import Verification, verify

SIDE = 32


class Healthy:
    """A small convolutional network with preprocessing of the usual kind."""

    def __init__(self, device: torch.device) -> None:
        torch.manual_seed(0)
        self.name = "healthy"
        self.dimension = 12
        self.decode_side_px = SIDE
        self.device = device
        self.network = nn.Sequential(
            nn.Conv2d(3, 8, 5, stride=2),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 12),
        ).eval()
        self.fingerprint = BackboneFingerprint(
            backbone="healthy",
            weights_sha256="0" * 64,
            preprocessing={
                "resize_shorter_side_px": SIDE,
                "filter": "bilinear",
                "centre_crop_px": SIDE,
                "mean": [0.5, 0.4, 0.3],
                "std": [0.2, 0.25, 0.3],
            },
            pooling="mean",
            dtype="float32",
            libraries={"torch": torch.__version__},
        )

    def crop(self, image: Image.Image) -> Image.Image:
        scale = SIDE / min(image.size)
        width, height = (max(SIDE, round(side * scale)) for side in image.size)
        left, top = (width - SIDE) // 2, (height - SIDE) // 2
        scaled = image.resize((width, height), Image.Resampling.BILINEAR)
        return scaled.crop((left, top, left + SIDE, top + SIDE))

    def preprocess(self, image: Image.Image) -> Tensor:
        pixels = torch.from_numpy(np.array(self.crop(image), dtype=np.float32)).permute(2, 0, 1) / 255
        mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.25, 0.3])
        return ((pixels - mean[:, None, None]) / std[:, None, None]).contiguous()

    def embed(self, batch: Tensor) -> Tensor:
        with torch.inference_mode():
            return self.network(batch.to(self.device)).to("cpu")


def check(load: Callable[[torch.device], Any], *groups: Group, count: int = 320) -> Verification:
    return verify(
        load,
        pictures=drawn_pictures(number=12),
        count=count,
        batch_size=8,
        groups=groups or GROUPS,
        progress=False,
    )


def failed(found: Verification) -> set[str]:
    assert not found.passed
    # Beside other work, so few pictures may not tell whether memory grows.
    told = [c for c in found.verdicts if c.values.get("verdict") != "undecided"]
    return {c.name for c in told if c.passed is False}


@pytest.fixture(scope="module")
def of_healthy() -> Verification:
    return check(Healthy)


def test_a_healthy_backbone_passes_all_checks(of_healthy: Verification) -> None:
    found = of_healthy
    assert found.passed, [c for c in found.verdicts if not c.passed]
    assert [group for group, _ in itertools.groupby(found.verdicts, lambda c: c.group)] == list(GROUPS)
    assert all(c.passed is True for c in found.verdicts) and len(found.verdicts) == 23
    values = json.loads(json.dumps(found.as_dict()))
    assert values["passed"] is True and values["backbone"] == "healthy" and values["device"] == "cpu"
    assert values["checks"][0]["values"]["images"] >= 320
    assert found.pictures == "12 drawn pictures, seed 0"


def faulty(**methods: Callable[..., Any]) -> type[Healthy]:
    """The healthy backbone with other methods."""
    return type("Faulty", (Healthy,), methods)


class KeepsPixels(Healthy):
    """Seed 004: tensors in a list that lives as long as the run."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self.kept: list[Any] = []

    def embed(self, batch: Tensor) -> Tensor:
        self.kept.append(batch)
        return super().embed(batch)


class KeepsBytes(KeepsPixels):
    """A leak outside of torch: a cache of what was decoded."""

    def preprocess(self, image: Image.Image) -> Tensor:
        self.kept.append(os.urandom(4096))
        return super().preprocess(image)

    def embed(self, batch: Tensor) -> Tensor:
        return Healthy.embed(self, batch)


@functools.cache
def cached(device: torch.device) -> Healthy:
    return Healthy(device)


@pytest.mark.parametrize(
    ("load", "names"),
    [
        (KeepsBytes, {"resident memory does not grow"}),
        # Seed 004: no torch.no_grad(); the graph is there during the pass, whatever is returned.
        (faulty(embed=lambda self, batch: self.network(batch).detach()), {"no graph is built"}),
        # A vector that is a part of all tokens keeps all of them.
        (
            faulty(embed=lambda self, batch: Healthy.embed(self, batch).repeat(1, 50)[:, :12]),
            {"vectors are on the CPU at once"},
        ),
        (cached, {"its memory comes back when it is released"}),
    ],
)
def test_memory_faults_are_caught(load: Callable[[torch.device], Any], names: set[str]) -> None:
    assert failed(check(load, "memory")) == names


def test_a_leak_is_told_in_bytes_a_picture() -> None:
    leaking = check(KeepsPixels, "memory")
    assert failed(leaking) == {"resident memory does not grow", "no tensor stays behind"}
    found = leaking.verdicts[0]
    assert found.values["verdict"] == "grows"
    assert found.values["low"] > 1024
    assert found.values["per_step"] == pytest.approx(3 * SIDE * SIDE * 4, rel=0.3)
    assert "grows by" in found.figure


def prepared(change: Callable[[Image.Image], Image.Image]) -> type[Healthy]:
    """One that changes pictures before it prepares them."""
    return faulty(preprocess=lambda self, image: Healthy.preprocess(self, change(image)))


def cropped(crop: Callable[[Image.Image], Image.Image]) -> type[Healthy]:
    """One that brings pictures to their size in another way."""
    return faulty(crop=lambda self, image: crop(image))


def bgr(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image)[..., ::-1].copy())


def top_left(image: Image.Image) -> Image.Image:
    scale = SIDE / min(image.size)
    size = [max(SIDE, round(side * scale)) for side in image.size]
    return image.resize((size[0], size[1]), Image.Resampling.BILINEAR).crop((0, 0, SIDE, SIDE))


def squeezed_and_cropped(image: Image.Image) -> Image.Image:
    return image.resize((SIDE + 16, SIDE + 16)).crop((8, 8, SIDE + 8, SIDE + 8))


def squeezed(image: Image.Image) -> Image.Image:
    """Not the stated way, but a way that some models use: the whole picture."""
    return image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)


def not_normalised(self: Healthy, image: Image.Image) -> Tensor:
    pixels = torch.from_numpy(np.array(self.crop(image), dtype=np.float32))
    return pixels.permute(2, 0, 1).contiguous() / 255


def transposed(self: Healthy, image: Image.Image) -> Tensor:
    """Height and width mixed up, as when arrays and pictures are mixed."""
    return Healthy.preprocess(self, image).transpose(1, 2).contiguous()


REFERENCE = "equal to the library's own processor"


@pytest.mark.parametrize(
    ("load", "names"),
    [
        (prepared(bgr), {"channels are RGB", "aspect and crop", REFERENCE}),
        (
            prepared(lambda image: image.convert("L").convert("RGB")),
            {"channels are RGB", "aspect and crop", REFERENCE},
        ),
        (faulty(preprocess=transposed), {"aspect and crop", REFERENCE}),
        (prepared(ImageOps.flip), {"aspect and crop", REFERENCE}),
        (cropped(top_left), {"aspect and crop", REFERENCE}),
        (cropped(squeezed_and_cropped), {"aspect and crop", REFERENCE}),
        (cropped(squeezed), {REFERENCE}),
        (faulty(preprocess=not_normalised), {REFERENCE}),
        # Resized in two steps: in effect another filter.
        (prepared(lambda image: image.resize((image.width // 2, image.height // 2))), {REFERENCE}),
        (  # looks at nothing
            faulty(embed=lambda self, batch: torch.ones(len(batch), 12)),
            {"RGB and BGR are told apart", "wrong normalisation is noticed"},
        ),
    ],
)
def test_preprocessing_faults_are_caught(load: Callable[[torch.device], Any], names: set[str]) -> None:
    assert failed(check(load, "preprocessing")) == names


def test_geometry_is_measured_in_pixels_of_the_picture(of_healthy: Verification) -> None:
    found = {c.name: c for c in of_healthy.verdicts}["aspect and crop"]
    wide, tall = found.values["480x320"], found.values["320x480"]
    assert (wide["left"], wide["right"], wide["top"], wide["bottom"]) == pytest.approx(
        (80, 400, 0, 320), abs=3
    )
    assert (tall["left"], tall["right"], tall["top"], tall["bottom"]) == pytest.approx(
        (0, 320, 80, 400), abs=3
    )
    assert wide["aspect"] == pytest.approx(1, abs=0.01)


def test_a_backbone_without_a_second_computation_is_not_failed_for_it() -> None:
    found = check(fingerprinted(lambda: {"own": 1}), "preprocessing")
    assert found.passed
    assert [(c.passed, c.figure) for c in found.verdicts if c.name == REFERENCE] == [
        (None, "there is none to compare with")
    ]


def altered(
    change: Callable[[Healthy], object], **methods: Callable[..., Any]
) -> Callable[[torch.device], Healthy]:
    """One that is changed when it has been made."""

    def load(device: torch.device) -> Healthy:
        backbone = faulty(**methods)(device)
        change(backbone)
        return backbone

    return load


def to_double(backbone: Healthy) -> object:
    """Seed 004: float64 from NumPy."""
    return backbone.network.double()


def in_training(device: torch.device) -> Healthy:
    """Seed 004: no ``model.eval()``; batch statistics make a vector depend on its neighbours."""
    backbone = Healthy(device)
    backbone.network.train()
    return backbone


def not_contiguous(self: Healthy, image: Image.Image) -> Tensor:
    return Healthy.preprocess(self, image).permute(1, 2, 0).contiguous().permute(2, 0, 1)


FLOATS = "parameters are float32 on the one device"
INPUTS = "what the modules are given is float32 on the one device"
VECTORS = "vectors are float32, contiguous, on the CPU"
PIXELS = "pixels are float32, contiguous, on the CPU"


@pytest.mark.parametrize(
    ("load", "names"),
    [
        (
            altered(to_double, embed=lambda self, b: Healthy.embed(self, b.double())),
            {FLOATS, INPUTS, VECTORS},
        ),
        # Float32 outside: half the speed, and nobody knows.
        (altered(to_double, embed=lambda self, b: Healthy.embed(self, b.double()).float()), {FLOATS, INPUTS}),
        (
            faulty(
                preprocess=lambda self, image: Healthy.preprocess(self, image).double(),
                embed=lambda self, batch: Healthy.embed(self, batch.float()),
            ),
            {PIXELS},
        ),
        (faulty(preprocess=not_contiguous), {PIXELS}),
        (in_training, {"evaluation mode"}),
        (altered(lambda backbone: setattr(backbone, "dimension", 13)), {"a vector for each picture"}),
        (faulty(embed=lambda self, batch: Healthy.embed(self, batch) / 0), {VECTORS}),
    ],
)
def test_faults_of_dtypes_are_caught(load: Callable[[torch.device], Any], names: set[str]) -> None:
    assert failed(check(load, "dtypes and devices")) == names


def test_what_is_not_seen_is_not_passed() -> None:
    class Hidden(Healthy):
        def __init__(self, device: torch.device) -> None:
            super().__init__(device)
            self.hidden = [self.__dict__.pop("network").train()]

        def embed(self, batch: Tensor) -> Tensor:
            with torch.inference_mode():
                return self.hidden[0](batch.to(self.device)).to("cpu")

    told = {one.slug: one.passed for one in check(Hidden, "dtypes and devices", "memory", count=64).verdicts}
    assert told["in-training-mode"] is None and told["memory-not-returned"] is None


def test_a_mode_that_changes_nothing_is_no_fault() -> None:
    load = altered(lambda backbone: backbone.network[2].train())
    found = {c.name: c for c in check(load, "dtypes and devices").verdicts}["evaluation mode"]
    assert (
        found.passed and "1 of 7 modules in training mode (e.g. ReLU), which changes nothing" in found.figure
    )


NOISE = np.random.default_rng()


def noisy(self: Healthy, batch: Tensor) -> Tensor:
    vectors = Healthy.embed(self, batch)
    return vectors + torch.from_numpy(NOISE.random(vectors.shape, dtype=np.float32)) * 1e-6


LOADS = itertools.count()


def draw_anew(backbone: Healthy) -> None:
    """Weights that were not stored."""
    torch.manual_seed(next(LOADS))
    nn.init.normal_(backbone.network[5].weight)


def fingerprinted(preprocessing: Callable[[], dict[str, Any]]) -> Callable[[torch.device], Healthy]:
    """One whose fingerprint says this of its preprocessing."""

    def change(backbone: Healthy) -> None:
        backbone.fingerprint = BackboneFingerprint("x", "0", preprocessing(), "mean", "float32", {})

    return altered(change)


@pytest.mark.parametrize(
    ("load", "names"),
    [
        (
            faulty(embed=noisy),
            {"two passes give identical bytes", "loaded again, its vectors are the same bytes"},
        ),
        (
            faulty(embed=lambda self, batch: Healthy.embed(self, batch) * (1 + 0.001 * len(batch))),
            {"a vector does not depend on its batch"},
        ),
        (in_training, {"a vector does not depend on its batch"}),
        (altered(draw_anew), {"loaded again, its vectors are the same bytes"}),
        (fingerprinted(lambda: {"loaded": next(LOADS)}), {"loaded again, its fingerprint is the same"}),
        (fingerprinted(lambda: {"mean": torch.ones(3)}), {"runs without an error"}),
    ],
)
def test_faults_of_reproducibility_are_caught(load: Callable[[torch.device], Any], names: set[str]) -> None:
    assert failed(check(load, "reproducibility")) == names


def test_an_error_inside_is_a_finding_of_its_group_and_the_others_are_run() -> None:
    def embed(self: Healthy, batch: Tensor) -> Tensor:
        if len(batch) == 1:
            raise ValueError("expected more than one picture\nand so on")
        return Healthy.embed(self, batch)

    found = check(faulty(embed=embed), "preprocessing", "reproducibility")
    wrong = [c for c in found.verdicts if c.passed is False]
    assert [(c.group, c.name, c.figure) for c in wrong] == [
        ("reproducibility", "runs without an error", "ValueError: expected more than one picture")
    ]
    assert sum(c.group == "preprocessing" for c in found.verdicts) == 6


def test_a_backbone_that_cannot_embed_at_all_is_a_finding() -> None:
    def embed(self: Healthy, batch: Tensor) -> Tensor:
        raise RuntimeError("no kernel")

    assert [(c.name, c.passed) for c in check(faulty(embed=embed)).verdicts] == [
        ("runs without an error", False),
        ("its memory comes back when it is released", True),
    ]


def test_drawn_pictures_are_the_same_every_time_and_not_square() -> None:
    first, second = ([image.tobytes() for image in drawn_pictures(seed=3, number=6)] for _ in range(2))
    assert first == second
    assert first != [image.tobytes() for image in drawn_pictures(seed=4, number=6)]
    assert sum(image.width != image.height for image in drawn_pictures(number=6)) == 5


def test_a_folder_is_used_without_what_cannot_be_read(photos: Path) -> None:
    pictures = folder_pictures(photos, limit=100)
    assert len(list(pictures)) == 9
    assert len(list(folder_pictures(photos, limit=3))) == 3
    assert "1 that cannot be read left out" in pictures.description


def test_a_folder_of_nothing_but_damage_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(
        DataError, match="none of 1 pictures can be read, the first: a.jpg: the file is empty"
    ):
        folder_pictures(tmp_path, limit=100)


def test_too_few_pictures_for_a_slope_are_refused() -> None:
    with pytest.raises(ConfigError, match="60 pictures are 7.5 batches of 8, too few to see growth in"):
        check(Healthy, count=60)

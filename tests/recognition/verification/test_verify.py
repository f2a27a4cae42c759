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
from argusvl.recognition.verification.verdict import GROUPS, Group, Verdict
from argusvl.recognition.verification.verify import Verification, verify

SIDE = 32
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.3]


class Healthy:
    """A small convolutional network with preprocessing of the usual kind."""

    cropped_from = 0.5
    """Where between its left or upper edge and the other the crop lies."""

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
        sizes = {"resize_shorter_side_px": SIDE, "filter": "bilinear", "centre_crop_px": SIDE}
        self.fingerprint = BackboneFingerprint(
            backbone="healthy",
            weights_sha256="0" * 64,
            preprocessing={**sizes, "mean": MEAN, "std": STD},
            pooling="mean",
            dtype="float32",
            libraries={"torch": torch.__version__},
        )

    def crop(self, image: Image.Image) -> Image.Image:
        scale = SIDE / min(image.size)
        width, height = (max(SIDE, round(side * scale)) for side in image.size)
        left, top = (int((length - SIDE) * self.cropped_from) for length in (width, height))
        scaled = image.resize((width, height), Image.Resampling.BILINEAR)
        return scaled.crop((left, top, left + SIDE, top + SIDE))

    def preprocess(self, image: Image.Image) -> Tensor:
        pixels = torch.from_numpy(np.array(self.crop(image), dtype=np.float32)).permute(2, 0, 1) / 255
        mean, std = torch.tensor([MEAN, STD])[..., None, None]
        return ((pixels - mean) / std).contiguous()

    def embed(self, batch: Tensor) -> Tensor:
        with torch.inference_mode():
            return self.network(batch.to(self.device)).to("cpu")


Load = Callable[[torch.device], Healthy]


def check(load: Load, *groups: Group, count: int = 320) -> Verification:
    drawn = drawn_pictures(number=12)
    return verify(load, pictures=drawn, count=count, batch_size=8, groups=groups or GROUPS, progress=False)


def failed(found: Verification) -> set[str]:
    assert not found.passed
    # Beside other work, so few pictures may not tell whether memory grows.
    told = [c for c in found.verdicts if c.values.get("verdict") != "undecided"]
    return {c.slug for c in told if c.passed is False}


def answer(found: Verification, slug: str) -> Verdict:
    (one,) = (c for c in found.verdicts if c.slug == slug)
    return one


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


# Faults.


def faulty(**methods: Any) -> type[Healthy]:
    """The healthy backbone with other methods."""
    return type("Faulty", (Healthy,), methods)


def altered(change: Callable[[Healthy], object], load: Load = Healthy) -> Load:
    """One that is changed when it has been made."""

    def made(device: torch.device) -> Healthy:
        backbone = load(device)
        change(backbone)
        return backbone

    return made


def given(change: Callable[[Image.Image], Image.Image]) -> type[Healthy]:
    """One that changes pictures before it prepares them."""
    return faulty(preprocess=lambda self, image: Healthy.preprocess(self, change(image)))


def pixels(change: Callable[[Tensor], Tensor], **methods: Any) -> type[Healthy]:
    """One that changes the pixels that it has made."""
    return faulty(preprocess=lambda self, image: change(Healthy.preprocess(self, image)), **methods)


def vectors(change: Callable[[Tensor], Tensor]) -> type[Healthy]:
    """One that changes its vectors."""
    return faulty(embed=lambda self, batch: change(Healthy.embed(self, batch)))


class KeepsPixels(Healthy):
    """Seed 004: tensors in a list that lives as long as the run."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self.kept: list[Any] = []

    def embed(self, batch: Tensor) -> Tensor:
        self.kept.append(batch)
        return super().embed(batch)


class KeepsBytes(Healthy):
    """A leak outside of torch: a cache of what was decoded."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self.kept: list[bytes] = []

    def preprocess(self, image: Image.Image) -> Tensor:
        self.kept.append(os.urandom(4096))
        return super().preprocess(image)


@functools.cache
def cached(device: torch.device) -> Healthy:
    return Healthy(device)


def bgr(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image)[..., ::-1].copy())


def squeezed_and_cropped(_: Healthy, image: Image.Image) -> Image.Image:
    return image.resize((SIDE + 16, SIDE + 16)).crop((8, 8, SIDE + 8, SIDE + 8))


def squeezed(_: Healthy, image: Image.Image) -> Image.Image:
    """Not the stated way, but a way that some models use: the whole picture."""
    return image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)


def not_normalised(made: Tensor) -> Tensor:
    mean, std = torch.tensor([MEAN, STD])[..., None, None]
    return made * std + mean


def in_double(change: Callable[[Tensor], Tensor]) -> Load:
    """Seed 004: float64 from NumPy, in the network and what it is given."""
    computing = faulty(embed=lambda self, batch: change(Healthy.embed(self, batch.double())))
    return altered(lambda backbone: backbone.network.double(), computing)


def in_training(backbone: Healthy) -> object:
    """Seed 004: no ``model.eval()``; batch statistics make a vector depend on its neighbours."""
    return backbone.network.train()


NOISE = np.random.default_rng()
LOADS = itertools.count()


def draw_anew(backbone: Healthy) -> None:
    """Weights that were not stored."""
    torch.manual_seed(next(LOADS))
    nn.init.normal_(backbone.network[5].weight)


def fingerprinted(preprocessing: Callable[[], dict[str, Any]]) -> Load:
    """One whose fingerprint says this of its preprocessing."""

    def change(backbone: Healthy) -> None:
        backbone.fingerprint = BackboneFingerprint("x", "0", preprocessing(), "mean", "float32", {})

    return altered(change)


FAULTS: dict[Group, list[tuple[Load, set[str]]]] = {
    "memory": [
        (KeepsBytes, {"host-memory-grows"}),
        # Seed 004: no torch.no_grad(); the graph is there during the pass, whatever is returned.
        (faulty(embed=lambda self, batch: self.network(batch).detach()), {"graph-built"}),
        # A vector that is a part of all tokens keeps all of them.
        (vectors(lambda found: found.repeat(1, 50)[:, :12]), {"vectors-held-elsewhere"}),
        (cached, {"memory-not-returned"}),
    ],
    "preprocessing": [
        (given(bgr), {"wrong-channel-order", "wrong-geometry", "other-than-reference"}),
        (
            given(lambda image: image.convert("L").convert("RGB")),
            {"wrong-channel-order", "wrong-geometry", "other-than-reference"},
        ),
        # Height and width mixed up, as when arrays and pictures are mixed.
        (pixels(lambda p: p.transpose(1, 2).contiguous()), {"wrong-geometry", "other-than-reference"}),
        (given(ImageOps.flip), {"wrong-geometry", "other-than-reference"}),
        (faulty(cropped_from=0), {"wrong-geometry", "other-than-reference"}),
        (faulty(crop=squeezed_and_cropped), {"wrong-geometry", "other-than-reference"}),
        (faulty(crop=squeezed), {"other-than-reference"}),
        (pixels(not_normalised), {"other-than-reference"}),
        # Resized in two steps: in effect another filter.
        (given(lambda image: image.resize((image.width // 2, image.height // 2))), {"other-than-reference"}),
        # Looks at nothing.
        (vectors(torch.ones_like), {"colours-unseen", "normalisation-unseen"}),
    ],
    "dtypes and devices": [
        (in_double(lambda found: found), {"parameters-mixed", "inputs-mixed", "vectors-wrong-dtype"}),
        # Float32 outside: half the speed, and nobody knows.
        (in_double(Tensor.float), {"parameters-mixed", "inputs-mixed"}),
        (
            pixels(Tensor.double, embed=lambda self, batch: Healthy.embed(self, batch.float())),
            {"pixels-wrong-dtype"},
        ),
        (pixels(lambda p: p.permute(1, 2, 0).contiguous().permute(2, 0, 1)), {"pixels-wrong-dtype"}),
        (altered(in_training), {"in-training-mode"}),
        (altered(lambda backbone: setattr(backbone, "dimension", 13)), {"wrong-shape"}),
        (vectors(lambda found: found / 0), {"vectors-wrong-dtype"}),
    ],
    "reproducibility": [
        (
            vectors(lambda found: found + torch.from_numpy(NOISE.random(found.shape, np.float32)) * 1e-6),
            {"passes-differ", "reload-changes-vectors"},
        ),
        (vectors(lambda found: found * (1 + 0.001 * len(found))), {"batch-dependent"}),
        (altered(in_training), {"batch-dependent"}),
        (altered(draw_anew), {"reload-changes-vectors"}),
        (fingerprinted(lambda: {"loaded": next(LOADS)}), {"reload-changes-fingerprint"}),
        (fingerprinted(lambda: {"mean": torch.ones(3)}), {"backbone-raises"}),
    ],
}


@pytest.mark.parametrize(
    ("group", "load", "slugs"), [(group, *fault) for group, faults in FAULTS.items() for fault in faults]
)
def test_each_fault_is_caught_by_the_check_meant_for_it(group: Group, load: Load, slugs: set[str]) -> None:
    assert failed(check(load, group)) == slugs


def test_a_leak_is_told_in_bytes_a_picture() -> None:
    leaking = check(KeepsPixels, "memory")
    assert failed(leaking) == {"host-memory-grows", "tensors-stay"}
    found = answer(leaking, "host-memory-grows")
    assert found.values["verdict"] == "grows"
    assert found.values["low"] > 1024
    assert found.values["per_step"] == pytest.approx(3 * SIDE * SIDE * 4, rel=0.3)
    assert "grows by" in found.figure


def test_geometry_is_measured_in_pixels_of_the_picture(of_healthy: Verification) -> None:
    found = answer(of_healthy, "wrong-geometry").values
    for size, wanted in (("480x320", (80, 400, 0, 320)), ("320x480", (0, 320, 80, 400))):
        edges = [found[size][edge] for edge in ("left", "right", "top", "bottom")]
        assert edges == pytest.approx(wanted, abs=3)
        assert found[size]["aspect"] == pytest.approx(1, abs=0.01)


def test_a_backbone_without_a_second_computation_is_not_failed_for_it() -> None:
    found = check(fingerprinted(lambda: {"own": 1}), "preprocessing")
    reference = answer(found, "other-than-reference")
    assert found.passed and (reference.passed, reference.figure) == (None, "there is none to compare with")


def test_what_is_not_seen_is_not_passed() -> None:
    class Hidden(Healthy):
        def __init__(self, device: torch.device) -> None:
            super().__init__(device)
            self.hidden = [self.__dict__.pop("network").train()]

        def embed(self, batch: Tensor) -> Tensor:
            with torch.inference_mode():
                return self.hidden[0](batch.to(self.device)).to("cpu")

    found = check(Hidden, "dtypes and devices", "memory", count=64)
    assert answer(found, "in-training-mode").passed is None
    assert answer(found, "memory-not-returned").passed is None


def test_a_mode_that_changes_nothing_is_no_fault() -> None:
    load = altered(lambda backbone: backbone.network[2].train())
    found = answer(check(load, "dtypes and devices"), "in-training-mode")
    assert found.passed
    assert "1 of 7 modules in training mode (e.g. ReLU), which changes nothing" in found.figure


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
    found = check(vectors(lambda _: torch.zeros(1) @ torch.zeros(2)))
    assert [(c.slug, c.passed) for c in found.verdicts] == [
        ("backbone-raises", False),
        ("memory-not-returned", True),
    ]


def test_drawn_pictures_are_the_same_every_time_and_not_square() -> None:
    first, second = ([image.tobytes() for image in drawn_pictures(seed=3, number=6)] for _ in range(2))
    assert first == second
    assert first != [image.tobytes() for image in drawn_pictures(seed=4, number=6)]
    assert sum(image.width != image.height for image in drawn_pictures(number=6)) == 5


def test_a_folder_is_used_without_what_cannot_be_read(photos: Path, tmp_path: Path) -> None:
    found = folder_pictures(photos, limit=100)
    assert len(list(found)) == 9
    assert len(list(folder_pictures(photos, limit=3))) == 3
    assert "1 that cannot be read left out" in found.description
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").touch()
    with pytest.raises(
        DataError, match=r"none of 1 pictures can be read, the first: a\.jpg: the file is empty"
    ):
        folder_pictures(tmp_path / "bad", limit=100)


def test_too_few_pictures_for_a_slope_are_refused() -> None:
    with pytest.raises(ConfigError, match="60 pictures are 7.5 batches of 8, too few to see growth in"):
        check(Healthy, count=60)

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from interruptions import StoppedError, content, interrupted_by, stop
from PIL import Image
from samples import TinyBackbone, passing, write, write_photos

from argusvl.core import images
from argusvl.core.errors import ArgusError, DataError, ModelError
from argusvl.core.memory_slope import MemoryRecorder
from argusvl.recognition.extraction.engines import LocalEngine
from argusvl.recognition.extraction.extractor import ExtractionReport, extract
from argusvl.recognition.extraction.store import EmbeddingStore
from argusvl.recognition.extraction.writer import EmbeddedBatch


def counts(report: ExtractionReport) -> tuple[int, int, int, int]:
    return report.inputs, report.embedded, report.quarantined, report.skipped


def test_each_vector_is_that_of_its_image(photos: Path, tmp_path: Path, tiny: Any) -> None:
    report = extract(photos, tmp_path / "store", tiny, batch_size=3, shard_rows=6, workers=1)
    assert counts(report) == (10, 9, 1, 0)
    paths, vectors = EmbeddingStore.open(tmp_path / "store").vectors()
    assert paths == [f"{n:03d}.png" for n in range(10) if n != 4]
    for path, vector in zip(paths, vectors, strict=True):
        alone = tiny.embed(tiny.preprocess(images.open_image(photos / path, exif="upright"))[None])[0]
        np.testing.assert_allclose(vector, alone.numpy(), rtol=1e-5, atol=1e-6)
    assert tiny.batches[:4] == [3, 2, 3, 1]
    ((path, reason),) = [(e.path, e.reason) for e in report.quarantined_entries]
    assert path == "004.png" and "damaged or truncated" in str(reason)


def test_the_bytes_are_those_of_any_workers_and_of_any_folder(
    photos: Path, tmp_path: Path, tiny: Any
) -> None:
    moved = Path(shutil.copytree(photos, tmp_path / "moved"))
    extract(photos, tmp_path / "one", tiny, batch_size=4, workers=3)
    for workers, folder in ((1, photos), (2, moved), (5, photos)):
        extract(folder, tmp_path / f"{workers}", tiny, batch_size=4, workers=workers)
        assert content(tmp_path / f"{workers}") == content(tmp_path / "one")


def test_duplicates_are_kept(tmp_path: Path, tiny: Any) -> None:
    photos = write_photos(tmp_path / "photos", 2)
    (photos / "sub").mkdir()
    shutil.copyfile(photos / "000.png", photos / "sub" / "copy.png")
    extract(photos, tmp_path / "store", tiny)
    store = EmbeddingStore.open(tmp_path / "store")
    paths, vectors = store.vectors()
    assert paths == ["000.png", "001.png", "sub/copy.png"]
    assert store.digests()[0] == store.digests()[2]
    np.testing.assert_array_equal(vectors[0], vectors[2])


@pytest.fixture
def strange(tmp_path: Path) -> tuple[Path, set[str], dict[str, str]]:
    """A folder of bad input: its root, the names that can be used, and the others with a part of their reasons."""
    root = write_photos(tmp_path / "strange", 1)
    picture = Image.open(root / "000.png")
    good = {"000.png"}

    def save(name: str, image: Image.Image, form: str, **options: Any) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(root / name, form, **options)
        good.add(name)

    save("png-named.jpg", picture, "PNG")
    save("cmyk.jpg", picture.convert("CMYK"), "JPEG")
    sixteen = Image.fromarray((np.arange(108, dtype=np.uint16) * 600).reshape(9, 12))
    save("sixteen.png", sixteen, "PNG")
    save("animated.gif", picture, "GIF", save_all=True, append_images=[picture.rotate(90, expand=True)])
    save("palette.png", picture.convert("P"), "PNG")
    save("transparent.png", picture.convert("RGBA"), "PNG")
    save("one-pixel.png", picture.resize((1, 1)), "PNG")
    save("wide.png", picture.resize((500, 2)), "PNG")
    save("Räume/螺丝 👀\nline.png", picture, "PNG")
    whole = (root / "cmyk.jpg").read_bytes()
    for name, data in (("zero.jpg", b""), ("text.jpg", b"no image"), ("cut.jpg", whole[:-40])):
        write(root / name, data)
    write(Path(os.fsdecode(os.fsencode(root) + b"/latin-\xe9.png")), (root / "000.png").read_bytes())
    for link, target in (("gone.png", "nowhere.png"), ("loop.png", "loop.png"), ("back", ".")):
        (root / link).symlink_to(target)
    os.mkfifo(root / "pipe.png")
    bad = {
        "zero.jpg": "empty",
        "text.jpg": "not an image",
        "cut.jpg": "damaged or truncated",
        "latin-\udce9.png": "not UTF-8",
        "gone.png": "the link points nowhere",
        "loop.png": "cannot be read: Too many levels of symbolic links",
        "pipe.png": "a pipe, not a file",
    }
    return root, good, bad


@pytest.mark.parametrize("lane", ["exact", "scaled"])
def test_bad_input_is_named_with_its_reason_and_the_rest_is_done(
    strange: tuple[Path, set[str], dict[str, str]], tmp_path: Path, tiny: Any, lane: Any
) -> None:
    root, good, bad = strange
    report = extract(root, tmp_path / "store", tiny, lane=lane, batch_size=4)
    assert counts(report) == (len(good) + len(bad), len(good), len(bad), 0)
    reasons = {entry.path: entry.reason or "" for entry in report.quarantined_entries}
    assert reasons.keys() == bad.keys()
    for name, part in bad.items():
        assert part in reasons[name], (name, reasons[name])
        assert " at 0x" not in reasons[name] and str(root) not in reasons[name]
    assert [problem.path for problem in report.problems] == ["back"]
    store = EmbeddingStore.open(tmp_path / "store")
    assert set(store.paths()) == good
    assert [json.loads(line)["path"] for line in (tmp_path / "store" / "ledger.jsonl").open("rb")] == sorted(
        good | bad.keys(), key=os.fsencode
    )
    notes = {entry.path: entry.note for entry in report.noted}
    assert notes == {
        "png-named.jpg": "a PNG named .jpg",
        "cmyk.jpg": "CMYK, converted to RGB",
        "sixteen.png": "more than 8 bits, scaled to 8",
        "animated.gif": "animated, the first frame taken",
    }
    again = extract(root, tmp_path / "store", tiny, lane=lane)
    assert counts(again) == (len(good) + len(bad), 0, 0, len(good) + len(bad))
    assert {entry.path: entry.note for entry in again.noted} == notes
    reused = extract(root, tmp_path / "other", tiny, lane=lane, reuse=tmp_path / "store")
    assert {entry.path: entry.note for entry in reused.noted} == notes


def refusing(error: OSError) -> Callable[..., int]:
    """``os.open`` where one picture cannot be opened; mode 000 would not stop the super-user."""
    real = os.open

    def refuse(path: Any, *rest: Any, **options: Any) -> int:
        if str(path).endswith("002.png"):
            raise error
        return real(path, *rest, **options)

    return refuse


def test_a_file_that_may_not_be_read_is_quarantined(
    photos: Path, tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "open", refusing(PermissionError(errno.EACCES, "Permission denied")))
    report = extract(photos, tmp_path / "store", tiny)
    assert ("002.png", None, "cannot be read: Permission denied") in [
        (e.path, e.sha256, e.reason) for e in report.quarantined_entries
    ]
    assert extract(photos, tmp_path / "store", tiny).skipped == 10
    monkeypatch.undo()
    with pytest.raises(DataError, match=r"1 changed: '002.png'"):
        extract(photos, tmp_path / "store", tiny)


def test_no_free_file_handle_is_no_fault_of_the_image(
    photos: Path, tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refusing(OSError(errno.EMFILE, "Too many open files")))
        with pytest.raises(DataError, match="Too many open files"):
            extract(photos, tmp_path / "store", tiny, batch_size=2)
    assert extract(photos, tmp_path / "store", tiny).quarantined <= 1


def test_huge_files_are_refused_unread(
    photos: Path, tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MAX_FILE_BYTES", 100)
    report = extract(photos, tmp_path / "store", tiny)
    assert report.embedded == 0 and report.quarantined == 10
    assert "more than 100" in str(report.quarantined_entries[0].reason)
    assert EmbeddingStore.open(tmp_path / "store").vectors()[1].shape == (0, 6)


def test_ctrl_c_loses_nothing(photos: Path, tmp_path: Path) -> None:
    threads = threading.active_count()
    interrupted = interrupted_by(lambda: signal.raise_signal(signal.SIGINT), TinyBackbone(), batch=2)
    with pytest.raises(KeyboardInterrupt):
        extract(photos, tmp_path / "store", interrupted, batch_size=2, shard_rows=4, workers=1)
    assert threading.active_count() == threads
    extract(photos, tmp_path / "whole", TinyBackbone(), batch_size=2, shard_rows=4)
    assert extract(photos, tmp_path / "store", TinyBackbone()).skipped == 4
    assert content(tmp_path / "store") == content(tmp_path / "whole")


def test_changed_images_are_named(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        extract(photos, tmp_path / "store", interrupted_by(stop, TinyBackbone(), 3), batch_size=2, workers=1)
    kept = (photos / "001.png").read_bytes()
    shutil.copyfile(photos / "007.png", photos / "001.png")
    with pytest.raises(DataError, match=r"begun:\n  1 changed: '001.png'") as caught:
        extract(photos, tmp_path / "store", TinyBackbone())
    assert "--reuse" in str(caught.value)
    (photos / "001.png").write_bytes(kept)
    (photos / "003.png").rename(photos / "new.png")
    with pytest.raises(DataError, match=r"1 added: 'new.png'\n  1 removed: '003.png'"):
        extract(photos, tmp_path / "store", TinyBackbone())
    (photos / "new.png").rename(photos / "003.png")
    assert extract(photos, tmp_path / "store", TinyBackbone()).skipped == 6


def test_a_changed_folder_reuses_vectors(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        stopped = interrupted_by(stop, TinyBackbone(), 3)
        extract(photos, tmp_path / "old", stopped, batch_size=2, shard_rows=4, workers=1)
    (photos / "000a.png").write_bytes((photos / "002.png").read_bytes())  # a copy of one that is in a shard
    (photos / "004.png").write_bytes((photos / "009.png").read_bytes())  # mended
    backbone = TinyBackbone()
    report = extract(photos, tmp_path / "new", backbone, reuse=tmp_path / "old")
    assert counts(report) == (11, 6, 0, 5) and sum(backbone.batches) == 6
    extract(photos, tmp_path / "fresh", TinyBackbone())
    (names, reused), (same, fresh) = (EmbeddingStore.open(tmp_path / n).vectors() for n in ("new", "fresh"))
    assert names == same
    np.testing.assert_allclose(reused, fresh, rtol=1e-5, atol=1e-6)
    with pytest.raises(DataError, match="the new store itself"):
        extract(photos, tmp_path / "new", TinyBackbone(), reuse=tmp_path / "new")
    with pytest.raises(DataError, match="weights_sha256"):
        extract(photos, tmp_path / "other", TinyBackbone(weights="b" * 64), reuse=tmp_path / "old")


def test_another_backbone_or_another_plan_is_refused(photos: Path, tmp_path: Path) -> None:
    extract(photos, tmp_path / "store", TinyBackbone())
    before = content(tmp_path / "store")
    other = TinyBackbone(weights="b" * 64, libraries="2.0")
    with pytest.raises(DataError) as caught:
        extract(photos, tmp_path / "store", other, lane="scaled")
    said = str(caught.value)
    for field in ("backbone.weights_sha256", "backbone.libraries.torch", "lane"):
        assert f"\n  {field}: the store has " in said
    assert "preprocessing" not in said
    with pytest.raises(DataError, match="batch_size: the store has 4, now it is 16"):
        extract(photos, tmp_path / "store", TinyBackbone(), batch_size=16)
    with pytest.raises(DataError, match="a shard of 6 images is no multiple of a batch of 4"):
        extract(photos, tmp_path / "store", TinyBackbone(), shard_rows=6)
    assert content(tmp_path / "store") == before


def test_a_vector_that_is_not_finite_is_quarantined(photos: Path, tmp_path: Path, tiny: Any) -> None:
    spoilt = passing(tiny, lambda vectors: vectors / (torch.arange(len(vectors)) != 1)[:, None])
    report = extract(photos, tmp_path / "store", spoilt, batch_size=10)
    assert {(e.path, e.reason) for e in report.quarantined_entries} >= {
        ("001.png", "its vector is not finite")
    }
    assert np.isfinite(EmbeddingStore.open(tmp_path / "store").vectors()[1]).all()


@pytest.mark.parametrize("wrong", [lambda v: v.double(), lambda v: v[:, :-1], lambda v: v[:-1]])
def test_a_backbone_that_breaks_its_word_is_an_error(
    photos: Path, tmp_path: Path, tiny: Any, wrong: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    with pytest.raises(ModelError, match="tiny gave"):
        extract(photos, tmp_path / "store", passing(tiny, wrong))


def test_a_batch_that_does_not_fit_says_what_to_do(photos: Path, tmp_path: Path, tiny: Any) -> None:
    def fail() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    with pytest.raises(ArgusError, match="smaller --batch-size"):
        extract(photos, tmp_path / "store", interrupted_by(fail, tiny))


def test_no_graph_is_built_and_the_threads_are_as_before(photos: Path, tmp_path: Path, tiny: Any) -> None:
    tiny.matrix.requires_grad_(True)
    seen = []

    def look(vectors: torch.Tensor) -> torch.Tensor:
        seen.append((torch.is_inference_mode_enabled(), vectors.requires_grad))
        return vectors

    threads = torch.get_num_threads()
    extract(photos, tmp_path / "store", passing(tiny, look))
    assert set(seen) == {(True, False)}
    assert torch.get_num_threads() == threads


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_sigkill_at_random_moments(tmp_path: Path, tiny: Any) -> None:
    """With real signals, threads and buffers; benchmarks/extraction.py does it a hundred times."""
    photos = write_photos(tmp_path / "photos", 120, corrupt=(3, 40, 41, 119))
    began = time.perf_counter()
    extract(photos, tmp_path / "whole", tiny, batch_size=4, shard_rows=16, workers=2)
    takes = time.perf_counter() - began
    rng, kills = random.Random(1), 0
    for trial in range(6):
        store = tmp_path / f"store-{trial}"
        for _ in range(2):
            child = os.fork()
            if child == 0:
                with contextlib.suppress(BaseException):
                    extract(photos, store, tiny, batch_size=4, shard_rows=16, workers=2)
                os._exit(0)
            time.sleep(rng.uniform(0, takes))
            os.kill(child, signal.SIGKILL)
            kills += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        extract(photos, store, tiny, batch_size=4, shard_rows=16, workers=2)
        assert content(store) == content(tmp_path / "whole")
    assert kills >= 3


class Watched(LocalEngine):
    """Samples the memory between batches."""

    def __init__(self, backbone: Any, recorder: MemoryRecorder) -> None:
        super().__init__(backbone, workers=2)
        self.recorder = recorder

    def run(self, *arguments: Any, **options: Any) -> Generator[EmbeddedBatch, None, None]:
        done = 0
        for batch in super().run(*arguments, **options):
            done += len(batch.entries)
            if done % 16 == 0:
                self.recorder.sample(done)
            yield batch


def grows(folder: Path, out: Path, backbone: Any) -> str:
    """The verdict on the memory of an extraction."""
    with MemoryRecorder() as recorder:
        extract(folder, out, backbone, batch_size=8, shard_rows=64, engine=Watched(backbone, recorder))
    return recorder.slopes(skip=128)["resident"].verdict()


def test_memory_does_not_grow_and_a_leak_would_be_seen(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 4)
    for number in range(4, 640):
        (photos / f"{number:04d}.png").hardlink_to(photos / f"{number % 4:03d}.png")
    assert grows(photos, tmp_path / "flat", TinyBackbone()) == "flat"
    kept = []

    def leak(vectors: torch.Tensor) -> torch.Tensor:
        kept.append(torch.ones(len(vectors), 16384))  # 64 KiB for each image
        return vectors

    assert grows(photos, tmp_path / "leak", passing(TinyBackbone(), leak)) == "grows"

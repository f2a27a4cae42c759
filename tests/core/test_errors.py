"""Errors: what, where and what to do, also after the way through a data loader's worker."""

from __future__ import annotations

import pickle
import traceback

import pytest
from torch.utils.data import DataLoader, Dataset

from argusvl.core.errors import ArgusError, DataError


def test_the_message_says_what_where_and_what_to_do() -> None:
    error = DataError("the box is inverted", where="train.jsonl:3", remedy="swap its corners")
    assert str(error) == "train.jsonl:3: the box is inverted\n  What to do: swap its corners"
    assert str(ArgusError("only what")) == "only what"


def test_an_error_survives_pickling() -> None:
    error = DataError("what", where="where", remedy="remedy")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.where) == (DataError, str(error), "where")


class Broken(Dataset[int]):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        raise DataError("SomeError: is in the text", where="train.jsonl:3", remedy="mend it")


def test_an_error_of_a_loaders_worker_is_the_same_message_with_the_workers_traceback_as_a_note() -> None:
    with pytest.raises(DataError) as found:
        next(iter(DataLoader(Broken(), num_workers=1)))
    assert str(found.value) == "train.jsonl:3: SomeError: is in the text\n  What to do: mend it"
    shown = "".join(traceback.format_exception(found.value))
    assert "Original Traceback" in shown
    assert "__getitem__" in shown

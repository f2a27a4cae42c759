"""Which descriptions a caption may be: those of a closed vocabulary, never misspelt, or any text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from argusvl.core.errors import DataError
from argusvl.detection.data.labels import Vocabulary
from argusvl.detection.data.sampling.collation import encode_caption
from argusvl.detection.data.sampling.conversation import ChatProcessor
from argusvl.detection.measure.evaluation import class_of
from argusvl.detection.model.label_trie import LabelTrie


def possible_descriptions(
    labels: Sequence[str], vocabulary: Vocabulary, descriptions: Sequence[str] | None
) -> tuple[str, ...] | None:
    """The descriptions that captions are chosen from; ``None``: any text.

    Args:
        labels: The labels asked for: those of training, or others.
        vocabulary: ``closed``: the labels are the descriptions. ``open``: they are first segments.
        descriptions: The whole descriptions of training, where captions are to be among them.
    """
    if descriptions is None:
        return None
    if vocabulary == "closed":
        return tuple(labels)
    asked = {class_of(label, vocabulary) for label in labels}
    known = [text for text in descriptions if class_of(text, vocabulary) in asked]
    # A label that training has not described any further is all that can be said of its objects.
    described = {class_of(text, vocabulary) for text in known}
    return (*known, *(label for label in labels if class_of(label, vocabulary) not in described))


@dataclass(frozen=True, slots=True, eq=False)
class CaptionChoice:
    """Descriptions to choose from, ready for decoding.

    Attributes:
        descriptions: The texts, as captions give them back: to the character, whatever tokens decode to.
        trie: Their tokens, grouped by label.
        group_of: Label → its group: what is found as a label is described as one.
    """

    descriptions: tuple[str, ...]
    trie: LabelTrie
    group_of: Mapping[str, int]

    @classmethod
    def of(
        cls,
        descriptions: Sequence[str],
        labels: Sequence[str],
        vocabulary: Vocabulary,
        processor: ChatProcessor,
        caption_max_tokens: int,
    ) -> CaptionChoice:
        """Splits the texts into tokens as the targets of training were.

        Args:
            descriptions: What may be said, see :func:`possible_descriptions`.
            labels: What may be found. A label that none of the descriptions belongs to may get any of them.
            vocabulary: How a description becomes a label.
            processor: Of the model.
            caption_max_tokens: Longest description, in tokens.

        Raises:
            DataError: A description is longer than the caption decoder writes, or there is none.
        """
        if not descriptions:
            raise DataError(
                "there is no description to choose captions from",
                remedy="give at least one label",
                slug="no-labels",
            )
        ids = [encode_caption(processor, text, caption_max_tokens, "the vocabulary") for text in descriptions]
        numbers = defaultdict[str, list[int]](list)
        for number, text in enumerate(descriptions):
            numbers[class_of(text, vocabulary)].append(number)
        groups = [numbers.get(class_of(label, vocabulary)) or range(len(ids)) for label in labels]
        group_of = {label: group for group, label in enumerate(labels)}
        return cls(tuple(descriptions), LabelTrie.build(ids, groups), group_of)

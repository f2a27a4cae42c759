"""A small tokenizer in the form of Qwen2.5-VL's, and the check that a tokenizer fits its model.

Byte-level BPE with Qwen2's pre-tokenizer (every digit a token of its own), NFC, Qwen2.5-VL's special tokens after the
learned vocabulary, as in the original, and a chat template that renders the same text. It is saved and loaded in hub
layout, by ``save_pretrained`` and ``AutoTokenizer.from_pretrained``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import AddedToken, Tokenizer, pre_tokenizers, trainers

from argusvl.core.errors import CheckpointError, ConfigError, ModelError
from argusvl.core.files import read_json
from argusvl.detection.data.prompts import prompts_for
from argusvl.detection.data.records import RecordFile
from argusvl.detection.data.sampling.answers import answer_text
from argusvl.detection.data.scan_cache import as_bytes, digest_of, from_bytes, load_measured, save_measured
from argusvl.detection.data.special_tokens import (
    END_OF_TEXT,
    IMAGE_PAD,
    SPECIAL_TOKENS,
    TURN_END,
    VIDEO_PAD,
    VISION_END,
    VISION_START,
)

if TYPE_CHECKING:
    from transformers.tokenization_utils_tokenizers import TokenizersBackend

FULL_VOCABULARY_START = 151_643
"""Id of ``<|endoftext|>`` in every released Qwen2.5-VL."""

MINIMAL_VOCABULARY = 256 + len(SPECIAL_TOKENS)
"""The bytes and the special tokens: with these any text can be written."""

_IN_CONFIG = {
    "image_token_id": IMAGE_PAD,
    "video_token_id": VIDEO_PAD,
    "vision_start_token_id": VISION_START,
    "vision_end_token_id": VISION_END,
    "bos_token_id": END_OF_TEXT,
    "eos_token_id": TURN_END,
    "pad_token_id": END_OF_TEXT,
}
"""Key of a ``Qwen2_5_VLConfig`` → the token whose id it holds."""

# Renders what Qwen2.5-VL's own template renders for system, user and assistant turns with text and images.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if loop.first and message['role'] != 'system' -%}"
    "{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' -}}"
    "{%- endif -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' -}}"
    "{%- if message['content'] is string -%}"
    "{{- message['content'] -}}"
    "{%- else -%}"
    "{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'image' or 'image' in part or 'image_url' in part -%}"
    "{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}"
    "{%- elif part['type'] == 'video' or 'video' in part -%}"
    "{{- '<|vision_start|><|video_pad|><|vision_end|>' -}}"
    "{%- elif 'text' in part -%}"
    "{{- part['text'] -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- endif -%}"
    "{{- '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> TokenizersBackend:
    """Learns a byte-level BPE vocabulary; the same texts, see :func:`tokenizer_texts`, give the same tokenizer.

    ``vocab_size`` is the most tokens, special tokens included. A small corpus may give fewer.

    Raises:
        ConfigError: The vocabulary has no room for the bytes and the special tokens.
    """
    return _with_vocabulary(*_learn_vocabulary(texts, vocab_size))


def _learn_vocabulary(texts: Iterable[str], vocab_size: int) -> tuple[list[str], list[list[str]]]:
    """Ordinary tokens in the order of their ids, and merges."""
    if vocab_size < MINIMAL_VOCABULARY:
        raise ConfigError(
            f"vocab_size is {vocab_size}, but the bytes and the special tokens alone are {MINIMAL_VOCABULARY}",
            where="vocab_size",
            remedy=f"set vocab_size to {MINIMAL_VOCABULARY} or more",
        )
    from transformers import Qwen2Tokenizer  # here, since it takes seconds

    learner: Tokenizer = Qwen2Tokenizer(vocab={}, merges=[]).backend_tokenizer
    learner.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocab_size - len(SPECIAL_TOKENS),
            # Once is enough for a description: the corpus lists each at least once, and it will be written often.
            min_frequency=1,
            show_progress=False,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        ),
    )
    learned = json.loads(learner.to_str())["model"]
    # What the empty tokenizer already held (its default unknown token) goes to the end with the other special tokens.
    ordinary = sorted(
        (t for t in learned["vocab"] if t not in SPECIAL_TOKENS), key=learned["vocab"].__getitem__
    )
    return ordinary, learned["merges"]


def _with_vocabulary(ordinary: Sequence[str], merges: Iterable[Sequence[str]]) -> TokenizersBackend:
    from transformers import Qwen2Tokenizer

    tokenizer = Qwen2Tokenizer(
        vocab={token: i for i, token in enumerate((*ordinary, *SPECIAL_TOKENS))},
        merges=[tuple(merge) for merge in merges],  # type: ignore[misc]
        unk_token=None,  # type: ignore[arg-type]
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        clean_up_tokenization_spaces=False,
        extra_special_tokens=[token for token in SPECIAL_TOKENS if token not in (END_OF_TEXT, TURN_END)],
    )
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def tokenizer_texts(
    scenes: Iterable[Sequence[str]], prompts: Iterable[str], *, max_side: int, seed: int, numbers: int = 2000
) -> Iterator[str]:
    """Yields what a tokenizer for these scenes must handle: descriptions, prompts, answers.

    The answers' coordinates, from 0 to ``max_side`` pixels, are random, so that no number of the training set becomes a
    habit of the vocabulary. At least so many ``numbers`` of objects are written, so that the JSON around a few
    descriptions is learned too.
    """
    yield from prompts
    rng = np.random.default_rng(seed)
    seen: set[str] = set()
    written = 0

    def answer(descriptions: list[str]) -> str:
        boxes = rng.integers(0, max_side + 1, size=(len(descriptions), 4)).tolist()
        return answer_text([(tuple(box), text, None) for box, text in zip(boxes, descriptions, strict=True)])

    for scene in scenes:
        descriptions = list(scene)
        new = sorted(set(descriptions) - seen)
        seen.update(new)
        # Alone as well: the caption decoder writes a description without the JSON around it.
        yield from new
        yield answer(descriptions)
        written += len(descriptions)
    pool = sorted(seen)
    while pool and written < numbers:
        chosen = [pool[i] for i in rng.integers(0, len(pool), size=8)]
        yield answer(chosen)
        written += len(chosen)


def learned_tokenizer(
    scenes: Iterable[Sequence[str]],
    *,
    prompt_language: str,
    max_pixels: int,
    seed: int,
    vocab_size: int,
    learned_for: RecordFile | None = None,
) -> TokenizersBackend:
    """The tokenizer that a run learns from its training records.

    Args:
        scenes: The descriptions of each scene of the training records; not asked for where the tokenizer is known.
        prompt_language: Of the prompts, which it must write, too.
        max_pixels: Largest area of an image, for the coordinates.
        seed: Of those coordinates.
        vocab_size: Most tokens, special tokens included.
        learned_for: The file of these records, beside which it is kept; ``None`` where they are not all of it.

    Raises:
        ConfigError: ``vocab_size`` has no room for the bytes and the special tokens.
    """
    prompts = prompts_for(prompt_language)
    written = [prompts.system, prompts.user(1), prompts.user(2)]
    key = digest_of(*written, max_pixels, seed, vocab_size, version("tokenizers"), version("transformers"))
    known = None if learned_for is None else load_measured(learned_for, "tokenizer", key)
    if known is not None:
        return _with_vocabulary(*from_bytes(known["vocabulary"]))
    texts = tokenizer_texts(scenes, written, max_side=int(max_pixels**0.5 * 2), seed=seed)
    vocabulary = _learn_vocabulary(texts, vocab_size)
    if learned_for is not None:
        save_measured(learned_for, "tokenizer", key, {"vocabulary": as_bytes(vocabulary)})
    return _with_vocabulary(*vocabulary)


def load_tokenizer(folder: str | Path) -> TokenizersBackend:
    """Loads the tokenizer of a folder in hub layout; gives it a chat template if the folder has none.

    Raises:
        CheckpointError: The folder holds no complete tokenizer.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError("no such folder", where=folder, remedy="check the path of the model")
    if not (folder / "tokenizer.json").is_file() and not (folder / "vocab.json").is_file():
        raise CheckpointError(
            "holds no tokenizer (neither tokenizer.json nor vocab.json)",
            where=folder,
            remedy="copy the tokenizer files of the model into the folder",
        )
    from transformers import AutoTokenizer  # here, since it takes seconds
    from transformers.tokenization_utils_tokenizers import TokenizersBackend

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:
        raise CheckpointError(
            f"the tokenizer cannot be read ({type(error).__name__}: {error})",
            where=folder,
            remedy="copy the tokenizer files again",
        ) from error
    if not isinstance(tokenizer, TokenizersBackend):
        raise CheckpointError(
            f"the tokenizer is a {type(tokenizer).__name__}, which is no byte-level BPE of the tokenizers library",
            where=folder,
            remedy="use the tokenizer of a Qwen2.5-VL model",
        )
    tokenizer.chat_template = _processor_template(folder) or tokenizer.chat_template or CHAT_TEMPLATE
    return tokenizer


def _processor_template(folder: Path) -> str | None:
    """The template in ``chat_template.json``, where older folders keep the processor's; it wins over the tokenizer's,
    which may be that of the language model alone and know no images.
    """
    file = folder / "chat_template.json"
    if not file.is_file():
        return None
    try:
        template = read_json(file)["chat_template"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"holds no chat_template: {error}",
            where=file,
            remedy="copy the file of the model again, or remove it",
        ) from None
    return str(template)


def vocabulary_digest(tokenizer: TokenizersBackend) -> str:
    """Tells a tokenizer from one that gives another id to any token, or writes a text by other tokens."""
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"].get("merges", [])
    pairs = [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
    return digest_of(json.dumps(sorted(tokenizer.get_vocab().items())), "\n".join(pairs))


def token_id(tokenizer: TokenizersBackend, token: str) -> int:
    """Id of a special token.

    Raises:
        ModelError: The tokenizer does not have it as one token.
    """
    found = tokenizer.get_added_vocab().get(token)
    if found is None:
        raise ModelError(
            f"the tokenizer has no special token {token}",
            where=tokenizer.name_or_path or None,
            remedy="use the tokenizer of a Qwen2.5-VL model",
        )
    return found


def token_ids_for_config(tokenizer: TokenizersBackend) -> dict[str, int]:
    """The ids that a ``Qwen2_5_VLConfig`` needs, under the names that it gives them.

    ``eos_token_id``, ``bos_token_id`` and ``pad_token_id`` belong to its text config as well.
    """
    return {key: token_id(tokenizer, token) for key, token in _IN_CONFIG.items()}


def check_special_tokens(tokenizer: TokenizersBackend, model_config: Any) -> None:
    """Compares every special token's id with the ``Qwen2_5_VLConfig`` and, for a full vocabulary, with the known ids.

    A wrong id does not fail by itself: the image would be fed to the model as ordinary text.

    Raises:
        ModelError: Names the token, the id expected and the id found.
    """
    text_config = getattr(model_config, "text_config", model_config)
    ids = {token: token_id(tokenizer, token) for token in SPECIAL_TOKENS}
    for key in ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id"):
        token, expected = _IN_CONFIG[key], getattr(model_config, key, None)
        if expected is not None and ids[token] != expected:
            raise _mismatch(token, "the model's config", expected, ids[token])
    for owner in (model_config, text_config):
        # Generation stops at <|im_end|>: it must be the end token, or one of several.
        end = getattr(owner, "eos_token_id", None)
        if end is not None and ids[TURN_END] not in (end if isinstance(end, list | tuple) else [end]):
            raise _mismatch(TURN_END, "the model's config (eos_token_id)", end, ids[TURN_END])
        pad = getattr(owner, "pad_token_id", None)
        if pad is not None and tokenizer.pad_token_id != pad:
            raise _mismatch(
                f"{tokenizer.pad_token} (padding)", "the model's config", pad, tokenizer.pad_token_id
            )
    if text_config.vocab_size > FULL_VOCABULARY_START:
        for offset, token in enumerate(SPECIAL_TOKENS):
            if ids[token] != FULL_VOCABULARY_START + offset:
                raise _mismatch(
                    token, "a full Qwen2.5-VL vocabulary", FULL_VOCABULARY_START + offset, ids[token]
                )
    if len(tokenizer) > text_config.vocab_size:
        raise ModelError(
            f"the tokenizer has {len(tokenizer)} tokens, the model's vocabulary {text_config.vocab_size}",
            remedy="use the tokenizer that belongs to the model",
        )


def _mismatch(token: str, authority: str, expected: object, found: object) -> ModelError:
    return ModelError(
        f"special token {token}: {authority} says id {expected}, the tokenizer has {found}",
        remedy="use the tokenizer that belongs to the model",
    )

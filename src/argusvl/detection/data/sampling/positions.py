"""Positions of a conversation's tokens, as Qwen2.5-VL counts them (mRoPE)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from transformers import Qwen2_5_VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLModel

from argusvl.detection.data.sampling.pixels import Grid


class _Upstream(Qwen2_5_VLModel):
    """The stock model without its weights: its positions follow from its configuration alone."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.config = Qwen2_5_VLConfig()


_upstream = _Upstream()


def conversation_positions(is_image: np.ndarray, grids: Sequence[Grid]) -> Tensor:
    """The four rows that the language model takes: place in the text; time, height and width.

    Args:
        is_image: ``[L]``, 1 at image placeholders and 0 elsewhere.
        grids: The images in patches, in order.

    Returns:
        ``int64 [4, L]``; the first row begins with 0 and is 0 nowhere else, so that where packed samples begin can be
        read off it.
    """
    types = torch.from_numpy(is_image)[None]
    mrope, _ = _upstream.get_rope_index(
        input_ids=types,  # type: ignore[arg-type]  # of which the shape alone is read
        mm_token_type_ids=types,  # type: ignore[arg-type]
        image_grid_thw=torch.tensor(grids, dtype=torch.int64).reshape(-1, 3),  # type: ignore[arg-type]
    )
    return torch.cat([torch.arange(types.shape[1])[None], mrope[:, 0]])

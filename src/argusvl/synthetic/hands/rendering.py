"""From a scene to its picture: skin, sleeve and solid in some light, before some background, through some lens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from argusvl.synthetic.hands.arrays import Bools, Floats, Floats32, Generator, Indices
from argusvl.synthetic.hands.backgrounds import random_background
from argusvl.synthetic.hands.camera import project
from argusvl.synthetic.hands.landmarks import forearm_share, landmarks, vertex_normals
from argusvl.synthetic.hands.lighting import closeness, lit, random_light, shadows
from argusvl.synthetic.hands.noise import grain, in_space
from argusvl.synthetic.hands.raster import Fragments, rasterise
from argusvl.synthetic.hands.scene import Scene
from argusvl.synthetic.hands.skin import Skin, Surface, linear, marked, random_skin, skin_at
from argusvl.synthetic.hands.solids import Mesh, mesh_of

FINER = 2  # samples a pixel, along each side


def render(
    scene: Scene, generator: Generator, pictures: Sequence[Path] = (), behind: Image.Image | None = None
) -> Image.Image:
    """The picture of a scene as it falls on the sensor; what the camera makes of it comes after.

    ``pictures`` are backgrounds of the user's; ``behind`` is the background itself, where it is not to be chosen.
    """
    skin = random_skin(generator)
    if behind is None:
        behind = random_background(generator, scene.size, pictures, 255 * skin.tone ** (1 / 2.2))
    pixel, cover, light = _surfaces(scene, skin, generator)
    canvas = np.asarray(behind).reshape(-1, 3).astype(np.float32)
    canvas[pixel] += cover[:, None] * (_levels(light) - canvas[pixel])
    image = Image.fromarray(canvas.reshape(scene.size[1], scene.size[0], 3).astype(np.uint8))
    if generator.uniform() < 0.18:
        image = _occluded(image, scene, generator, skin)
    if generator.uniform() < 0.15:
        image = _shaken(image, generator)
    return image


def silhouette(scene: Scene) -> Bools:
    """``[height, width]``: where the hand or its forearm is, were there nothing else."""
    seen = project(scene.vertices, scene.camera)
    fragments = rasterise(seen, scene.vertices[:, 2], scene.faces, scene.size)
    mask = np.zeros(scene.size[0] * scene.size[1], dtype=bool)
    mask[fragments.pixel] = True
    return mask.reshape(scene.size[1], scene.size[0])


def _surfaces(scene: Scene, skin: Skin, generator: Generator) -> tuple[Indices, Floats32, Floats32]:
    """Pixels that show something ``[P]``, the share of each that it covers, and its light ``[P, 3]``."""
    light = random_light(generator)
    sleeve = _Sleeve(generator)
    normals = vertex_normals(scene.vertices, scene.faces)
    hand = Mesh(scene.vertices + sleeve.swell()[:, None] * normals, normals, scene.faces)
    if sleeve.on:
        hand = hand._replace(normals=vertex_normals(hand.vertices, hand.faces))
    parts = [hand]
    if scene.solid is not None and scene.pose is not None:
        own = mesh_of(scene.solid)
        rotation = scene.pose[:, :3]
        parts.append(Mesh(own.vertices @ rotation.T + scene.pose[:, 3], own.normals @ rotation.T, own.faces))
    vertices, normals = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    first = np.cumsum([0, *(len(part.vertices) for part in parts)])
    faces = np.concatenate([part.faces + start for part, start in zip(parts, first[:-1], strict=True)])

    fragments, cover = _covered(vertices, faces, scene)
    of_hand = fragments.face < len(hand.faces)
    marks = fragments.take(of_hand).of(marked(skin), hand.faces)
    worn = marks[:, 1] < sleeve.end_m
    points, directions = (fragments.of(v.astype(np.float32), faces) for v in (vertices, normals))
    colour = np.empty((len(fragments.pixel), 3), np.float32)
    bump, gloss = np.zeros(len(colour), np.float32), np.ones(len(colour), np.float32)
    soft = of_hand.copy()
    soft[of_hand] = ~worn
    surface = skin_at(skin, marks)
    cloth = sleeve.at(marks[worn, :3])
    surface.colour[worn], surface.bump[worn], surface.gloss[worn] = cloth.colour, cloth.bump, cloth.gloss
    colour[of_hand], bump[of_hand], gloss[of_hand] = surface.colour, surface.bump, surface.gloss
    if scene.pose is not None:
        there = points[~of_hand] - scene.pose[:, 3].astype(np.float32)
        thing = _solid_at(there @ scene.pose[:, :3].astype(np.float32), generator)
        colour[~of_hand], bump[~of_hand], gloss[~of_hand] = thing.colour, thing.bump, thing.gloss
    shadow = shadows(light.lamps[0], vertices, faces, points, directions)
    directions += 0.06 * _slope(fragments, bump, scene.size)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True) + np.float32(1e-9)
    dark = closeness(fragments, scene.size, float(np.median(scene.joints[:, 2]) / scene.camera[0, 0]))
    sent = lit(light, points, directions, colour, gloss, soft, shadow, dark, skin.roughness)
    return fragments.pixel, cover, sent


def _covered(vertices: Floats, faces: Indices, scene: Scene) -> tuple[Fragments, Floats32]:
    """One fragment for each pixel that shows a surface, and the share of the pixel's samples that do.

    Edges against the background are smooth so; light, which costs most, is worked out once a pixel.
    """
    width, height = scene.size
    seen = FINER * project(vertices, scene.camera)
    fine = rasterise(seen, vertices[:, 2], faces, (FINER * width, FINER * height))
    row, column = np.divmod(fine.pixel, FINER * width)
    pixel = row // FINER * width + column // FINER
    samples = np.bincount(pixel, minlength=width * height)
    shown = np.flatnonzero(samples)
    one = np.zeros(width * height, dtype=np.int64)
    one[pixel] = np.arange(len(pixel))
    chosen = fine.take(one[shown])
    cover = (samples[shown] / FINER**2).astype(np.float32)
    return Fragments(shown, chosen.face, chosen.weight, chosen.depth), cover


def _slope(fragments: Fragments, height: Floats32, size: tuple[int, int]) -> Floats32:
    """``[P, 3]``: by how much a normal leans where the surface goes up and down in small, in the picture's plane."""
    width = size[0]
    plane = np.zeros(size[0] * size[1] + width + 1, np.float32)
    there = np.zeros(plane.shape, bool)
    plane[fragments.pixel], there[fragments.pixel] = height, True
    lean = np.zeros((len(height), 3), np.float32)
    for axis, step in ((0, 1), (1, width)):
        neighbour = fragments.pixel + step
        lean[:, axis] = np.where(there[neighbour], height - plane[neighbour], 0)
    return np.clip(lean, -2, 2)


class _Sleeve:
    """Cloth over the forearm from some place on, or a bare arm."""

    def __init__(self, generator: Generator) -> None:
        self.on = generator.uniform() < 0.5
        # The wrist is at 0, the arm goes down along y.
        self.end_m = generator.uniform(-0.12, -0.015) if self.on else -np.inf
        self._thick = generator.uniform(0.002, 0.009)
        both = generator.uniform(5, 250, 3) + generator.normal(0, 25, (2, 3))
        self._colours = linear(np.clip(both, 0, 255))
        self._stripes = generator.uniform() < 0.3
        self._period = generator.uniform(0.004, 0.03)
        self._offset = generator.uniform(0, 64, 3)
        self._folds = generator.uniform(0.0, 0.003)

    def swell(self) -> Floats:
        """``[V]`` metres by which the vertices are moved outwards."""
        rest = landmarks()[:, :3]
        if not self.on:
            return np.zeros(len(rest))
        under = np.clip((self.end_m + 0.004 - rest[:, 1]) / 0.006, 0, 1)
        thick = self._thick + self._folds * in_space(rest, 0.008, self._offset)
        return under * thick * (forearm_share() > 0.3)

    def at(self, rest: Floats32) -> Surface:
        """The cloth at ``[P, 3]`` places of the hand at rest."""
        weave = grain(rest, 0.0006, self._offset)
        mix = 0.5 + 0.5 * weave
        if self._stripes:
            mix = (np.sin(rest[:, 1] * np.float32(2 * np.pi / self._period)) > 0).astype(np.float32)
        first, second = self._colours.astype(np.float32)
        colour = (first + mix[:, None] * (second - first)) * (1 + 0.15 * weave)[:, None]
        hem = np.clip((rest[:, 1] - np.float32(self.end_m) + 0.004) / 0.003, 0, 1)
        return Surface(colour * (1 - 0.35 * hem)[:, None], weave, np.full(len(rest), 0.1, np.float32))


def _solid_at(place: Floats32, generator: Generator) -> Surface:
    """A solid of one or two colours, printed, grained or plain; ``[P, 3]`` places in its frame."""
    first, second = (
        linear(np.clip(generator.uniform(5, 250, 3), 0, 255)).astype(np.float32) for _ in range(2)
    )
    if generator.uniform() < 0.3:
        first = np.full(3, linear(generator.uniform(10, 245, 1))[0], np.float32)
    offset = generator.uniform(0, 64, 3)
    look = generator.uniform()
    fine = grain(place, 0.001, offset)
    if look < 0.35:
        mix = 0.1 * fine
    elif look < 0.6:
        axis = np.eye(3, dtype=np.float32)[2]
        if generator.uniform() < 0.5:
            axis = generator.standard_normal(3).astype(np.float32)
        turns = place @ axis * np.float32(2 * np.pi / generator.uniform(0.008, 0.06))
        wave = np.sin(turns + np.float32(generator.uniform(0, 6)))
        mix = (wave > generator.uniform(-0.8, 0.8)).astype(np.float32)
    else:
        blotch = in_space(place, generator.uniform(0.002, 0.012), offset)
        hard = generator.uniform() < 0.5
        mix = (blotch > 0.2).astype(np.float32) if hard else np.clip(0.5 + 0.5 * blotch, 0, 1)
    worn = 1 + np.float32(generator.uniform(0, 0.12)) * fine
    colour = (first + mix[:, None] * (second - first)) * worn[:, None]
    gloss = np.full(len(place), generator.choice([0.1, 1.0, 4.0]), np.float32)
    return Surface(colour.astype(np.float32), np.float32(generator.uniform(0, 0.5)) * fine, gloss)


def _levels(light: Floats32) -> Floats32:
    """Linear light → sRGB levels, with a soft shoulder where a sensor would clip."""
    soft = np.where(light > 0.8, 0.8 + 0.25 * (1 - np.exp(-(light - 0.8) / 0.25)), light)
    table = (255 * np.linspace(0, 1, 4096) ** (1 / 2.2)).astype(np.float32)
    return table[np.clip(soft * 4095, 0, 4095).astype(np.int32)]


def _occluded(image: Image.Image, scene: Scene, generator: Generator, skin: Skin) -> Image.Image:
    """A thing before the hand: over a part of it, never most."""
    x1, y1, x2, y2 = FINER * scene.box
    extent = generator.uniform(0.15, 0.4) * max(x2 - x1, y2 - y1)
    centre = generator.uniform([x1, y1], [x2, y2])
    like_skin = generator.uniform() < 0.2
    colour = 255 * skin.tone ** (1 / 2.2) if like_skin else generator.uniform(10, 245, 3)
    red, green, blue = (int(v) for v in np.clip(colour + generator.normal(0, 10, 3), 0, 255))
    mask = Image.new("L", (FINER * image.width, FINER * image.height))
    draw = ImageDraw.Draw(mask)
    kind = generator.integers(3)
    if kind == 0:
        far = centre + extent / 2 * generator.uniform(0.4, 1, 2)
        draw.ellipse((*(centre - extent / 2), *far), fill=255)
    elif kind == 1:
        angles = np.sort(generator.uniform(0, 2 * np.pi, 6))
        corners = centre + extent / 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        draw.polygon([(x, y) for x, y in corners], fill=255)
    else:
        way = generator.standard_normal(2)
        way *= 2 * max(mask.size) / np.linalg.norm(way)
        thick = max(2, int(extent * generator.uniform(0.1, 0.4)))
        draw.line((*(centre - way), *(centre + way)), fill=255, width=thick)
    image.paste((red, green, blue), mask=mask.reduce(FINER))
    return image


def _shaken(image: Image.Image, generator: Generator) -> Image.Image:
    """Blurred along a line of a few pixels."""
    angle, length = generator.uniform(0, np.pi), generator.uniform(1, 2)
    kernel = np.zeros((5, 5))
    for t in np.linspace(-length, length, 9):
        kernel[round(2 + t * np.sin(angle)), round(2 + t * np.cos(angle))] += 1
    return image.filter(ImageFilter.Kernel((5, 5), kernel.ravel().tolist()))

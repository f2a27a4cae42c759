"""Light on surfaces: lamps, sky, cast shadows, and the dark between fingers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter

from argusvl.synthetic.hands.arrays import Bools, Floats, Floats32, Generator, Indices
from argusvl.synthetic.hands.raster import Fragments, rasterise

_SHADOW_MAP = 160
_LIFT_M = np.float32(0.0025)  # points are looked up this far above the surface, which else would shade itself
_BLED = np.array([0.42, 0.2, 0.12], np.float32)
"""How far light bleeds round an edge in skin, which lets red through."""


@dataclass(frozen=True, slots=True, eq=False)
class Lamp:
    """A lamp far away.

    Attributes:
        direction: ``[3]`` unit, from the scene to the lamp, camera's frame.
        colour: ``[3]`` linear light.
        shadows: How much of it is missing in its shadow, 0 to 1.
    """

    direction: Floats
    colour: Floats
    shadows: float


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """All light of a scene: one lamp that casts shadows, others, and what comes from above and below."""

    lamps: tuple[Lamp, ...]
    above: Floats
    below: Floats
    up: Floats
    occlusion: float


def random_light(generator: Generator) -> Light:
    """Rooms and open air; the sum is such that a white sheet comes out about white."""
    cast = np.exp(generator.normal(0, [0.07, 0.02, 0.1]))
    hard = generator.uniform()
    lamps = []
    for strength in (generator.uniform(0.35, 1.0), *generator.uniform(0.05, 0.45, generator.integers(0, 3))):
        direction = generator.standard_normal(3) * [1, 1, 0.6] + [0, -0.7, -0.6]
        colour = cast * np.exp(generator.normal(0, [0.08, 0.02, 0.12]))
        lamps.append(Lamp(direction / np.linalg.norm(direction), strength * colour, 0.55 + 0.45 * hard))
    up = np.array([0, -1, 0]) + generator.normal(0, 0.25, 3)
    sky = generator.uniform(0.2, 0.6)
    tint = np.exp(generator.normal(0, [0.08, 0.03, 0.12], (2, 3)))
    return Light(
        tuple(lamps),
        above=sky * tint[0],
        below=sky * generator.uniform(0.25, 0.8) * tint[1],
        up=up / np.linalg.norm(up),
        occlusion=generator.uniform(0.5, 1.0),
    )


def lit(
    light: Light,
    seen: Floats32,
    normals: Floats32,
    colour: Floats32,
    gloss: Floats32,
    soft: Bools,
    shadow: Floats32,
    dark: Floats32,
    roughness: float,
) -> Floats32:
    """Light ``[P, 3]`` that P points send to the camera, linear, as colours and lamps are.

    ``seen`` and ``normals`` are in the camera's frame; ``soft`` is skin, into which light goes; ``shadow`` is 1 where
    the first lamp is hidden, ``dark`` where little sky is seen; ``roughness`` is that of the shine.
    """
    view = -seen / np.linalg.norm(seen, axis=1, keepdims=True)
    upward = 0.5 + 0.5 * (normals @ light.up.astype(np.float32))
    total = light.below.astype(np.float32) + upward[:, None] * (light.above - light.below).astype(np.float32)
    total *= (1 - np.float32(light.occlusion) * dark)[:, None]
    shine = np.zeros((len(seen), 3), np.float32)
    bled = np.where(soft[:, None], _BLED, np.float32(0))
    power = np.float32(2 / roughness**4)
    for number, lamp in enumerate(light.lamps):
        towards = lamp.direction.astype(np.float32)
        reached = (1 - np.float32(lamp.shadows) * (shadow if number == 0 else dark))[:, None]
        facing = (normals @ towards)[:, None]
        strength = np.clip((facing + bled) / (1 + bled), 0, None) * reached
        total += strength * lamp.colour.astype(np.float32)
        half = view + towards
        half /= np.linalg.norm(half, axis=1, keepdims=True)
        glance = np.clip((normals * half).sum(1), 0, 1) ** power * (power + 2) / 60
        shine += (glance * gloss)[:, None] * reached * lamp.colour.astype(np.float32) * (facing > 0)
    return colour * total + np.float32(0.12) * shine


def shadows(lamp: Lamp, vertices: Floats, faces: Indices, points: Floats32, normals: Floats32) -> Floats32:
    """``[P]`` in 0 to 1: how much of P points the surfaces hide from a lamp, softened at the edge."""
    side = np.cross(lamp.direction, [0.3, 0.9, 0.1])
    side /= np.linalg.norm(side)
    # x, y and depth as the lamp sees
    frame = np.stack([side, np.cross(-lamp.direction, side), -lamp.direction])
    turned = vertices @ frame.T
    low, high = turned.min(0), turned.max(0)
    scale = (_SHADOW_MAP - 3) / max(high[0] - low[0], high[1] - low[1])
    # Parallel light: depth goes in as one over itself would, far away, so that it is as good as linear.
    places = (turned[:, :2] - low[:2]) * scale + 1.5
    depths = turned[:, 2] - low[2] + 50.0
    found = rasterise(places, depths, faces, (_SHADOW_MAP, _SHADOW_MAP))
    nearest = np.full(_SHADOW_MAP**2, np.inf, np.float32)
    nearest[found.pixel] = found.depth
    own = (points + _LIFT_M * normals) @ frame.T.astype(np.float32)
    place = (own[:, :2] - low[:2].astype(np.float32)) * np.float32(scale) + np.float32(1.0)
    depth = own[:, 2] - np.float32(low[2] - 50.0) - _LIFT_M
    cell = np.clip(np.floor(place).astype(np.int32), 0, _SHADOW_MAP - 2)
    share = place - cell
    x, y = cell[:, 0], cell[:, 1]
    rows = []
    for row in (y, y + 1):
        a, b = ((nearest[row * _SHADOW_MAP + x + k] < depth).astype(np.float32) for k in (0, 1))
        rows.append(a + share[:, 0] * (b - a))
    upper, lower = rows
    return np.asarray(upper + share[:, 1] * (lower - upper), dtype=np.float32)


def closeness(fragments: Fragments, size: tuple[int, int], metres_a_pixel: float) -> Floats32:
    """``[P]`` in 0 to 1: how far a point lies behind what is seen around it, as between fingers."""
    depth = np.zeros(size[0] * size[1], np.float32)
    there = np.zeros_like(depth)
    depth[fragments.pixel], there[fragments.pixel] = fragments.depth, 1
    total = np.zeros(len(fragments.pixel), np.float32)
    for radius_m in (0.004, 0.012):
        window = max(3, 2 * round(radius_m / metres_a_pixel) + 1)
        share = uniform_filter(there.reshape(size[::-1]), window, mode="constant").ravel()[fragments.pixel]
        mean = uniform_filter(depth.reshape(size[::-1]), window, mode="constant").ravel()[fragments.pixel]
        behind = fragments.depth - mean / np.maximum(share, 1e-3)
        total += np.clip(behind / np.float32(radius_m), 0, 0.6)
    return np.clip(total, 0, 1)

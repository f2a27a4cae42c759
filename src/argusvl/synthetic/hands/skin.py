"""How skin looks: its tone from person to person, and where on the hand it is redder, lighter, creased or a nail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from argusvl.synthetic.hands.arrays import Floats, Floats32, Generator
from argusvl.synthetic.hands.landmarks import CREASE, FLUSH, NAIL, PALM, REST, landmarks
from argusvl.synthetic.hands.noise import grain, in_space

BLOTCH = 10
"""Column of :func:`marked`, after those of the landmarks."""

# sRGB of the back of hands from light to dark, between which tones are mixed.
_TONES = np.array(
    [
        (244, 210, 190),
        (232, 190, 162),
        (214, 168, 136),
        (190, 138, 104),
        (150, 102, 72),
        (105, 69, 48),
        (66, 43, 32),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class Skin:
    """One person's skin.

    Attributes:
        tone: ``[3]`` linear light, of the back of the hand.
        palm: ``[3]`` what the palm's is times of it.
        flush: ``[3]`` what knuckles and finger tips are times of it.
        mottling: Depth of irregular colour.
        creases: Depth of creases.
        roughness: Of the surface, from wet to dry.
        offset: ``[3]`` into the field of noise.
    """

    tone: Floats
    palm: Floats
    flush: Floats
    mottling: float
    creases: float
    roughness: float
    nail: Floats
    offset: Floats


def linear(srgb: ArrayLike) -> Floats:
    """Levels from 0 to 255 → light from 0 to 1; 2.2 is near enough to sRGB's curve here."""
    return np.asarray((np.asarray(srgb) / 255.0) ** 2.2)


def random_skin(generator: Generator) -> Skin:
    """A person's."""
    # All tones, those of most photographs more often.
    place = (len(_TONES) - 1.001) * generator.beta(1.1, 1.6)
    low = int(place)
    tone = linear(_TONES[low] + (place - low) * (_TONES[low + 1] - _TONES[low]))
    tone = tone * np.exp(generator.normal(0, [0.05, 0.02, 0.06])) * np.exp(generator.normal(0, 0.12))
    dark = place / (len(_TONES) - 1)
    red = generator.uniform(0.4, 1.2)
    pink = linear([225, 165, 150]) * generator.uniform(0.8, 1.2)
    painted = linear(generator.uniform(20, 250, 3)) if generator.uniform() < 0.06 else None
    return Skin(
        tone=tone,
        palm=1
        + np.array([0.12, 0.0, -0.02]) * red
        + np.array([1.4, 1.0, 0.8]) * dark**2 * generator.uniform(0.4, 1),
        flush=1 + np.array([0.05, -0.2, -0.2]) * red * (1 - 0.6 * dark),
        mottling=generator.uniform(0.03, 0.14),
        creases=generator.uniform(0.25, 0.9),
        roughness=generator.uniform(0.3, 0.6),
        nail=painted if painted is not None else 0.55 * tone + 0.45 * pink * (1 - 0.5 * dark),
        offset=generator.uniform(0, 64, 3),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """What a surface is at P pixels.

    Attributes:
        colour: ``[P, 3]`` linear.
        bump: ``[P]`` height, in units that darken where low.
        gloss: ``[P]`` strength of the shine.
    """

    colour: Floats32
    bump: Floats32
    gloss: Floats32


def marked(skin: Skin) -> Floats32:
    """``[V, 11]``: :func:`landmarks` and this person's blotches."""
    marks = landmarks()
    return np.concatenate([marks, in_space(marks[:, REST], 0.006, skin.offset)[:, None]], axis=1)


def skin_at(skin: Skin, marks: Floats32) -> Surface:
    """The skin where :func:`marked`, interpolated to ``[P, 11]``, says so."""
    blotch = marks[:, BLOTCH]
    fine = grain(marks[:, REST], 0.0008, skin.offset)
    palm = _smooth(marks[:, PALM], -0.15, 0.5)
    flush = marks[:, FLUSH] + 0.25 * blotch
    tone = np.asarray(skin.tone * (1 + palm[:, None] * (skin.palm - 1)), dtype=np.float32)
    colour = tone * (1 + flush[:, None] * (skin.flush - 1).astype(np.float32))
    colour *= (1 + skin.mottling * (blotch + 0.6 * fine))[:, None] ** np.array([0.7, 1.0, 1.1], np.float32)
    # One deep line on the palm's side of each joint, fine folds over its back.
    depth, phalanx = marks[:, CREASE.start], marks[:, CREASE.start + 1]
    jitter = depth + 0.5 * blotch
    line = np.exp(-((jitter / 0.55) ** 2)) * palm
    folds = np.exp(-((depth / 4.5) ** 2)) * (0.5 + 0.5 * np.cos(jitter * 3.6)) * (1 - palm) * (phalanx > 1.2)
    dent = np.float32(skin.creases) * (0.55 * line + 0.28 * folds)
    colour *= (1 - dent)[:, None] ** np.array([0.8, 1.1, 1.15], np.float32)
    gloss = 1 + 0.5 * fine
    across, along, back = (marks[:, NAIL.start + k] for k in range(3))
    round_end = np.sqrt((across / 0.62) ** 2 + (np.clip(0.62 - along, 0, None) / 0.22) ** 2)
    nail = _smooth(-round_end, -1.0, -0.88) * _smooth(along, 0.4, 0.44) * _smooth(back, 0.15, 0.35)
    free = _smooth(along, 0.93, 0.97)
    nails = skin.nail.astype(np.float32) * (1 + 0.35 * free)[:, None]
    colour += nail[:, None] * (nails - colour)
    rim = np.exp(-(((round_end - 1.0) / 0.09) ** 2)) * _smooth(along, 0.4, 0.44) * _smooth(back, 0.15, 0.35)
    colour *= (1 - 0.25 * rim)[:, None]
    return Surface(colour, 0.4 * fine - 2 * dent, gloss + 2.5 * nail)


def _smooth(values: Floats32, low: float, high: float) -> Floats32:
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), dtype=np.float32)

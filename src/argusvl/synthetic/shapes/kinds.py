"""All kinds by name, and which of them look alike."""

from __future__ import annotations

from random import Random

from argusvl.synthetic.shapes.cards import CARDS
from argusvl.synthetic.shapes.cells import CELLS
from argusvl.synthetic.shapes.characters import CHARACTERS, GAMES, SIGNS
from argusvl.synthetic.shapes.circuit import CIRCUIT
from argusvl.synthetic.shapes.devices import DEVICES
from argusvl.synthetic.shapes.emblems import EMBLEMS
from argusvl.synthetic.shapes.fasteners import FASTENERS
from argusvl.synthetic.shapes.forms import FORMS
from argusvl.synthetic.shapes.house import HOUSE, TOOLS
from argusvl.synthetic.shapes.look import Kind
from argusvl.synthetic.shapes.nature import NATURE
from argusvl.synthetic.shapes.turned import TURNED

FAMILIES: dict[str, tuple[dict[str, Kind], float]] = {
    "forms": (FORMS, 1.9),
    "characters": (CHARACTERS, 1.6),
    "games": (GAMES, 0.9),
    "cards": (CARDS, 1.9),
    "signs": (SIGNS, 0.7),
    "emblems": (EMBLEMS, 2.4),
    "turned": (TURNED, 1.6),
    "fasteners": (FASTENERS, 1.0),
    "circuit": (CIRCUIT, 0.9),
    "devices": (DEVICES, 0.9),
    "house": (HOUSE, 0.6),
    "tools": (TOOLS, 0.4),
    "nature": (NATURE, 0.8),
    "cells": (CELLS, 0.7),
}
"""Kinds by family, with how often a family is taken."""

KINDS: dict[str, Kind] = {name: kind for family, _ in FAMILIES.values() for name, kind in family.items()}
"""Every kind by its English name."""

_ALIKE = (
    *(
        tuple(f"letter {character}" for character in alike)
        for alike in ("BPRD", "EFLHT", "CGQDS", "MNHWK", "VYXTK", "UJVL", "ABR", "XKYZ")
    ),
    ("ring", "washer", "hollow disc", "filled disc"),
    ("bar", "nail", "filled rectangle", "hollow rectangle"),
)
"""Kinds that look alike though their names do not say so."""


def _siblings() -> dict[str, list[tuple[str, ...]]]:
    """For every kind the groups to which it belongs: names that differ from its own in one word."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in KINDS:
        words = name.split(" ")
        for at in range(len(words)):
            if len(words) > 1:
                groups.setdefault((*words[:at], "*", *words[at + 1 :]), []).append(name)
    for alike in _ALIKE:
        groups[alike] = list(alike)
    for family, (kinds, _) in FAMILIES.items():
        if len(kinds) < 40:
            groups[(family,)] = list(kinds)
    found: dict[str, list[tuple[str, ...]]] = {name: [] for name in KINDS}
    for members in groups.values():
        if len(members) > 1:
            for name in members:
                found[name].append(tuple(members))
    return found


SIBLINGS = _siblings()
"""For every kind the groups of kinds that differ little; the kind itself is in each of them."""


def any_family(rng: Random) -> dict[str, Kind]:
    """The kinds of a family, chosen by chance."""
    families = list(FAMILIES.values())
    return rng.choices([kinds for kinds, _ in families], [weight for _, weight in families])[0]


def any_siblings(rng: Random, most: int) -> list[str]:
    """Two or more kinds that look alike."""
    group = rng.choice(SIBLINGS[rng.choice(list(any_family(rng)))])
    return rng.sample(group, rng.randrange(2, max(3, min(most, len(group)) + 1)))

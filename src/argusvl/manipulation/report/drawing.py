"""Pictures of hands: skeletons on the image, the same hand in space, where the model looked, errors of each joint."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from argusvl.manipulation.data.checking import Bools, Floats
from argusvl.manipulation.data.dataset import HandCrop
from argusvl.manipulation.data.joints import BONES, JOINTS, NUM_JOINTS, WRIST
from argusvl.manipulation.data.records import HandView
from argusvl.manipulation.measure.metrics import MM
from argusvl.manipulation.measure.predictions import HandPrediction
from argusvl.synthetic.hands.camera import project
from argusvl.visual.fonts import load_font

Colour = tuple[int, int, int]

FINGER_COLOURS = ((230, 80, 60), (240, 170, 40), (70, 180, 90), (60, 140, 230), (170, 90, 210))
"""Thumb to little finger."""
_GROUND: Colour = (250, 250, 250)
_INK: Colour = (40, 40, 40)
_SMOOTH = 3
_ATTENDING = JOINTS.index("index_tip")
_PANEL_PX = 256
_VIEW_M = 0.24
"""What a view in space shows, metres from edge to edge: a hand in any pose."""


def finger_colour(joint: int) -> Colour:
    """Of a joint, and of the bone that leads to it."""
    return (120, 120, 120) if joint == WRIST else FINGER_COLOURS[(joint - 1) // 4]


def draw_skeleton(
    image: Image.Image,
    joints_px: Floats,
    *,
    colour: Colour | None = None,
    valid: Bools | None = None,
    width: float | None = None,
) -> Image.Image:
    """A hand's joints ``[21, 2]`` and bones over a copy of a picture; what lies outside of it is cut off.

    Only the ``valid`` joints are drawn, by default each finger in a colour of its own and bones as wide, in pixels, as
    it suits the hand.
    """
    shown = np.isfinite(joints_px).all(-1) & (np.ones(NUM_JOINTS, bool) if valid is None else valid)
    if not shown.any():
        return image.copy()
    if width is None:
        extent = float(np.ptp(joints_px[shown], axis=0).max())
        width = float(np.clip(extent / 60, 1.0, max(image.size) / 100 + 1))
    large = image.resize((image.width * _SMOOTH, image.height * _SMOOTH), Image.Resampling.BILINEAR)
    pen, scaled = ImageDraw.Draw(large), joints_px * _SMOOTH
    for under in (True, False):  # a dark edge below, for bright pictures
        thick = round((width + (1.2 if under else 0)) * _SMOOTH)
        for parent, joint in BONES:
            if shown[parent] and shown[joint]:
                ink = (20, 20, 20) if under else colour or finger_colour(joint)
                pen.line([*scaled[parent], *scaled[joint]], fill=ink, width=thick)
    radius = width * 1.3 * _SMOOTH
    for number in np.flatnonzero(shown).tolist():
        x, y = scaled[number]
        ink = colour or finger_colour(number)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink, outline=(20, 20, 20))
    return large.resize(image.size, Image.Resampling.BOX)


def draw_in_space(
    joints_m: Floats, size: int, truth_m: Floats | None = None, *, axes: tuple[int, int] = (0, 1)
) -> Image.Image:
    """A hand ``[21, 3]`` in space, about its middle, seen along an axis of the camera's frame; ``size`` is in pixels.

    The truth is drawn grey behind it, wrist on wrist. ``axes`` go right and down: ``(0, 1)`` as the camera sees it,
    ``(2, 1)`` from its right.
    """
    picture = Image.new("RGB", (size, size), _GROUND)
    both = [joints_m - joints_m[WRIST]]
    if truth_m is not None:
        both.insert(0, truth_m - truth_m[WRIST])
    known = both[0][np.isfinite(both[0]).all(-1)]
    middle = (known.max(0) + known.min(0)) / 2
    for number, joints in enumerate(both):
        seen = (joints - middle)[:, list(axes)] * (size / _VIEW_M) + size / 2
        grey = truth_m is not None and number == 0
        picture = draw_skeleton(picture, seen, colour=(190, 190, 190) if grey else None, width=size / 90)
    return picture


def draw_sampling(image: Image.Image, sampling_px: Floats) -> Image.Image:
    """Where refinement looked, ``[steps, 21, 2]`` crop pixels: a path for each joint, from first to last."""
    drawn = image.copy()
    pen = ImageDraw.Draw(drawn)
    for joint in range(NUM_JOINTS):
        path = [tuple(point) for point in sampling_px[:, joint]]
        colour = finger_colour(joint)
        if len(path) > 1:
            pen.line([value for point in path for value in point], fill=colour, width=1)
        for step, (x, y) in enumerate(path):
            radius = 1.5 + step
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour)
    return drawn


def draw_attention(image: Image.Image, attention: Floats, colour: Colour) -> Image.Image:
    """Where a joint's query looks, ``[h, w]`` over the crop: the more, the more of a colour on the grey picture."""
    seen = Image.fromarray((attention / attention.max()).astype(np.float32))
    share = np.asarray(seen.resize(image.size, Image.Resampling.BILINEAR))[..., None]
    grey = np.asarray(image.convert("L"))[..., None] * 0.6
    return Image.fromarray((grey + share * (np.array(colour) - grey)).astype(np.uint8))


def draw_errors(errors_mm: Sequence[float]) -> Image.Image:
    """A bar for each of 21 joints' errors, ``nan`` where one is not known."""
    width, row, label, font = 460, 18, 110, load_font(None, 12)
    picture = Image.new("RGB", (width, row * NUM_JOINTS + 8), _GROUND)
    pen = ImageDraw.Draw(picture)
    longest = max((e for e in errors_mm if np.isfinite(e)), default=1.0) or 1.0
    for joint, (name, error) in enumerate(zip(JOINTS, errors_mm, strict=True)):
        top = 4 + joint * row
        pen.text((6, top + 2), name.replace("_", " "), _INK, font)
        if np.isfinite(error):
            end = label + (width - label - 60) * error / longest
            pen.rectangle((label, top + 3, end, top + row - 4), fill=finger_colour(joint))
            pen.text((end + 6, top + 2), f"{error:.1f} mm", _INK, font)
    return picture


def draw_comparison(crop: HandCrop, found: HandPrediction, attention: Floats | None = None) -> Image.Image:
    """A crop: truth, prediction, where the model looked, and both hands in space from the front and from the side.

    ``attention`` is that of :func:`~argusvl.manipulation.measure.evaluation.attention_of`, where it is to be shown.
    """
    view, size = crop.view, _PANEL_PX
    scale = size / crop.pixels.shape[0]
    picture = Image.fromarray(crop.pixels).resize((size, size), Image.Resampling.BICUBIC)
    panels = [
        ("truth", draw_skeleton(picture, view.joints_px * scale, valid=view.joint_valid)),
        ("prediction", draw_skeleton(picture, project(found.joints_m, view.camera) * scale)),
    ]
    if attention is not None:
        drawn = draw_attention(picture, attention[_ATTENDING], finger_colour(_ATTENDING))
        panels.append((f"attention of {JOINTS[_ATTENDING].replace('_', ' ')}", drawn))
    if len(found.sampling_px):
        panels.append(("where refinement looked", draw_sampling(picture, found.sampling_px * scale)))
    truth = np.where(view.joint_valid[:, None], view.joints_m, np.nan)
    panels += [
        ("from the front, truth grey", draw_in_space(found.joints_m, size, truth)),
        ("from the side", draw_in_space(found.joints_m, size, truth, axes=(2, 1))),
    ]
    return side_by_side(panels)


def side_by_side(panels: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Pictures of one height with their titles above."""
    font, head, gap = load_font(None, 13), 20, 6
    width = sum(p.width + gap for _, p in panels) - gap
    sheet = Image.new("RGB", (width, panels[0][1].height + head), (255, 255, 255))
    pen, left = ImageDraw.Draw(sheet), 0
    for title, panel in panels:
        pen.text((left + 2, 2), title, _INK, font)
        sheet.paste(panel, (left, head))
        left += panel.width + gap
    return sheet


def errors_of(found: HandPrediction, view: HandView) -> Floats:
    """``[21]``: of each joint relative to the wrist, millimetres; ``nan`` where it is not known."""
    off = (found.joints_m - found.joints_m[WRIST]) - (view.joints_m - view.joints_m[WRIST])
    return np.where(view.joint_valid, np.linalg.norm(off, axis=-1) * MM, np.nan)

"""The 21 joints of a hand, in one order; other orders are brought here when they are read.

The order is wrist, then thumb, index, middle, ring and little finger, each from the palm to its tip. It is that of
OpenPose, MediaPipe, FreiHAND, DexYCB and the hands of COCO-WholeBody.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from argus_doctor.wording import did_you_mean
from argusvl.core.errors import DataError

Kind = TypeVar("Kind", bound=np.generic)

FINGERS = ("thumb", "index", "middle", "ring", "little")

JOINTS = (
    "wrist",
    *(f"thumb_{part}" for part in ("cmc", "mcp", "ip", "tip")),
    *(f"{finger}_{part}" for finger in FINGERS[1:] for part in ("mcp", "pip", "dip", "tip")),
)
"""Names in our order; DexYCB calls the thumb's ``mcp``, ``pip``, ``dip``, ``tip``."""

NUM_JOINTS = len(JOINTS)
WRIST = 0
TIPS = tuple(k for k, name in enumerate(JOINTS) if name.endswith("_tip"))

PARENTS = tuple(-1 if k == 0 else 0 if k % 4 == 1 else k - 1 for k in range(NUM_JOINTS))
"""The joint that each hangs on; -1 for the wrist."""

BONES = tuple((parent, k) for k, parent in enumerate(PARENTS) if parent >= 0)

ORDERS: dict[str, tuple[int, ...]] = {
    "openpose": tuple(range(NUM_JOINTS)),
    # The 16 joints of MANO (wrist; index, middle, little, ring, thumb), then the tips from thumb to little finger.
    "mano": (0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20),
    # Each finger from its tip to the palm, the wrist last; of one hand.
    "interhand": (20, *(4 * finger + 3 - part for finger in range(5) for part in range(4))),
    # The wrist first, each finger from its tip to the palm.
    "rhd": (0, *(4 * finger + 4 - part for finger in range(5) for part in range(4))),
}
"""Name of an order → where each of our joints stands in it. ``mano`` is HO-3D's too, ``interhand`` InterHand2.6M's."""


def to_our_order(values: NDArray[Kind], order: str) -> NDArray[Kind]:
    """``[21, …]`` in a named order → in ours, as :func:`places` has it."""
    return np.asarray(values[np.array(places(order))])


def places(order: str) -> tuple[int, ...]:
    """Where each of our joints stands in a named order.

    Raises:
        DataError: No order has this name.
    """
    if order in ORDERS:
        return ORDERS[order]
    raise DataError(
        f"no order of joints is known as {order!r}{did_you_mean(order, ORDERS)}",
        where="joint_order",
        remedy=f"the orders are {', '.join(ORDERS)}",
        slug="malformed-hand-record",
    )

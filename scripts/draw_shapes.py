"""Draws the scenes of shapes on which `argus-tiny` is trained: a data folder, as `argus data synth` writes others.

python scripts/draw_shapes.py OUT --images 12000 --seed 0 --width 336 --height 252
"""

from __future__ import annotations

import argparse
from pathlib import Path

import shapes
from argusvl.core.errors import ArgusError


def main() -> None:
    """Draws the folder; one with this very set is left as it is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--width", type=int, default=448)
    parser.add_argument("--height", type=int, default=336)
    parser.add_argument("--language", default="zh", help="of the descriptions: zh or en")
    try:
        shapes.generate(**vars(parser.parse_args()), progress=True)
    except ArgusError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()

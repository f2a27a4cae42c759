"""The arrays of drawn hands, and their source of chance, by short names."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Indices = NDArray[np.int64]
Bools = NDArray[np.bool_]
Generator = np.random.Generator

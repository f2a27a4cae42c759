"""The errors that a user can mend: each says what happened, where, and what to do.

The command line prints them without a traceback and exits with 2; ``--debug`` shows the traceback.
"""

from __future__ import annotations

from argus_doctor.errors import ArgusError as ArgusError

USERS_MISTAKE = 2
"""The exit code where the user can mend what is wrong."""

INTERRUPTED = 130
"""The exit code of a command that was asked to stop."""


class ConfigError(ArgusError):
    """A configuration key is missing, unknown, of the wrong type, or contradicts another key."""


class DataError(ArgusError):
    """A record, an annotation file or a data folder is not what it should be."""


class ImageError(DataError):
    """An image cannot be used: missing, truncated, too large, or rotated by its EXIF tag."""


class DamagedImageError(ImageError):
    """A file begins as an image does, but cannot be read to its end."""


class ImageTooLargeError(ImageError):
    """An image's header claims more pixels than are accepted; nothing of it was decoded."""


class CheckpointError(ArgusError):
    """A checkpoint folder is incomplete, damaged, or does not fit the request."""


class ModelError(ArgusError):
    """A model was given inputs that it cannot use, e.g. shapes that contradict each other."""


class TrainingError(ArgusError):
    """Training cannot go on, e.g. because the loss is not finite."""

"""A request's body → a picture whose header was checked. File names in it are not looked at."""

from __future__ import annotations

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from argusvl.core.errors import DamagedImageError, ImageError, ImageTooLargeError
from argusvl.core.images import FORMATS, UPRIGHT, read_header
from argusvl.serving.limits import Limits
from argusvl.serving.problems import ProblemError
from argusvl.task_parts import Upload

FIELD = "image"
"""The multipart field with the picture's file."""

_MOST_FIELDS = 16
_TURNED_ON_THEIR_SIDE = frozenset({5, 6, 7, 8})

_IMAGE_TYPES = {f"image/{name.lower()}" for name in FORMATS.values()} - {"image/ppm"}
RAW_TYPES = (*sorted(_IMAGE_TYPES), "application/octet-stream")
"""Of bodies that are a picture's bytes; by its content alone is decided what it is."""


async def read_upload(request: Request) -> tuple[bytes, dict[str, str]]:
    """A picture's bytes, and the other fields of a form.

    Raises:
        ProblemError: There is no picture (400), or the body is of another kind (415).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        data, fields = await _of_form(request)
    elif kind == "" or kind == "application/octet-stream" or kind.startswith("image/"):
        data, fields = await request.body(), {}
    else:
        raise ProblemError(
            415,
            f"send a picture as the multipart field {FIELD!r}, or its bytes as image/… or application/octet-stream",
        )
    if not data:
        raise ProblemError(400, "the picture is empty (0 bytes)")
    return data, fields


def checked_upload(data: bytes, limits: Limits) -> Upload:
    """The picture, as far as its header tells.

    Raises:
        ProblemError: It is no picture (415), is damaged (422), or has too many pixels (413).
    """
    try:
        header = read_header(data, where="image", max_megapixels=limits.megapixels)
    except ImageTooLargeError as error:
        raise ProblemError(413, error.what) from None
    except ImageError as error:
        raise ProblemError(422 if isinstance(error, DamagedImageError) else 415, error.what) from None
    width, height = header.size
    if header.orientation in _TURNED_ON_THEIR_SIDE:
        width, height = height, width
    return Upload(data, (width, height), header.orientation != UPRIGHT, limits.megapixels)


class _InMemory(MultiPartParser):
    spool_max_size = 1 << 62  # the gate has bounded the body: nothing of a picture goes to a disk


async def _of_form(request: Request) -> tuple[bytes, dict[str, str]]:
    try:
        form = await _InMemory(
            request.headers, request.stream(), max_files=1, max_fields=_MOST_FIELDS
        ).parse()
    except (MultiPartException, KeyError, UnicodeDecodeError, ValueError) as error:
        reason = error.message if isinstance(error, MultiPartException) else "it cannot be parsed"
        raise ProblemError(400, f"the form: {reason}") from None
    fields: dict[str, str] = {}
    data = b""
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            if name != FIELD:
                raise ProblemError(400, f"the form: the picture's field is called {FIELD!r}")
            data = await value.read()
        elif name == FIELD:
            raise ProblemError(400, f"the form: {FIELD!r} is a text, not a file")
        elif name in fields:
            raise ProblemError(400, f"the form: {name[:80]!r} is there twice")
        else:
            fields[name] = value
    await form.close()
    if not any(name == FIELD for name, _ in form.multi_items()):
        raise ProblemError(400, f"the form has no file {FIELD!r}")
    return data, fields

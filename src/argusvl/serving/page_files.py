"""The static page at ``/``: its files are read once, and a path is looked up in a table and never on the disk.

And glyphs for it: what models say may be Chinese, and the reader's machine may have no font for it.
"""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

import argusvl.visual
from argusvl.core.files import read_bytes
from argusvl.serving.problems import ProblemError, busy
from argusvl.visual.fonts import glyph_font

PAGE = Path(__file__).parent / "page"
COLOURS = Path(argusvl.visual.__file__).parent / "templates" / "colours.css"
"""Those of the reports: both look the same."""

MOST_CHARACTERS = 512
"""In a request; the page asks for more in several. Each is nine bytes of an address whose head ends at 32 KiB."""

_REMEMBERED = 64  # a few kB each: pictures of a kind are described in the same words
_MOST_WAITING = 16


def page_files() -> dict[str, tuple[bytes, str]]:
    """Path → content and media type of the page's files, which are all text; ``/`` is ``index.html``."""
    files = [*sorted(PAGE.iterdir()), COLOURS]
    found = {
        f"/{file.name}": (read_bytes(file), f"{mimetypes.guess_type(file.name)[0]}; charset=utf-8")
        for file in files
    }
    return found | {"/": found["/index.html"]}


def add_glyphs(app: FastAPI) -> Callable[[], None]:
    """Adds ``GET /glyphs.woff?text=…``: a font with the Chinese, Japanese and Korean glyphs of the text.

    Returns:
        Ends the thread on which fonts are made.
    """
    # Beside the decoders: pictures do not wait for it.
    thread = ThreadPoolExecutor(1, thread_name_prefix="glyphs")
    make = lru_cache(_REMEMBERED)(glyph_font)
    waiting = 0

    @app.get("/glyphs.woff", include_in_schema=False)
    async def glyphs(request: Request) -> Response:
        nonlocal waiting
        text = request.query_params.get("text", "")
        if not 0 < len(text) <= MOST_CHARACTERS:
            raise ProblemError(422, f"text: from 1 to {MOST_CHARACTERS} characters")
        if waiting >= _MOST_WAITING:
            raise busy("many fonts are being made; come again")
        waiting += 1
        try:
            work = asyncio.get_running_loop().run_in_executor(thread, make, "".join(sorted(set(text))))
            font = await work
        finally:
            waiting -= 1
        if not font:
            return Response(status_code=204)  # the reader's own fonts must do
        return Response(font, media_type="font/woff")

    return lambda: thread.shutdown(wait=True, cancel_futures=True)

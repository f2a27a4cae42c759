"""Glyphs for the page: what models say may be Chinese, and the reader's machine may have no font for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from argusvl.serving.problems import ProblemError, busy
from argusvl.visual.glyphs import glyph_font

PATH = "/glyphs.woff"
MOST_CHARACTERS = 512
"""In a request; the page asks for more in several. Each is nine bytes of an address whose head ends at 32 KiB."""

_REMEMBERED = 64  # a few kB each: pictures of a kind are described in the same words
_MOST_WAITING = 16


def add_glyphs(app: FastAPI) -> Callable[[], None]:
    """Adds ``GET /glyphs.woff?text=…``: a font with the Chinese, Japanese and Korean glyphs of the text.

    Returns:
        Ends the thread on which fonts are made.
    """
    thread = ThreadPoolExecutor(
        1, thread_name_prefix="glyphs"
    )  # beside the decoders: pictures do not wait for it
    waiting = 0

    @app.get(PATH, include_in_schema=False)
    async def glyphs(request: Request) -> Response:
        nonlocal waiting
        text = request.query_params.get("text", "")
        if not 0 < len(text) <= MOST_CHARACTERS:
            raise ProblemError(422, f"text: from 1 to {MOST_CHARACTERS} characters")
        if waiting >= _MOST_WAITING:
            raise busy("many fonts are being made; come again")
        waiting += 1
        try:
            work = asyncio.get_running_loop().run_in_executor(thread, _font, "".join(sorted(set(text))))
            font = await work
        finally:
            waiting -= 1
        if not font:
            return Response(status_code=204)  # the reader's own fonts must do
        return Response(font, media_type="font/woff")

    return lambda: thread.shutdown(wait=True, cancel_futures=True)


@lru_cache(_REMEMBERED)
def _font(characters: str) -> bytes:
    return glyph_font(characters)

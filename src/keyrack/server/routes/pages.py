"""`/docs`: a page on which every operation can be read and tried; page and script ship with Keyrack."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Response

from keyrack.core.errors import NotFound

router = APIRouter(tags=["docs"], include_in_schema=False)
_PAGES = Path(__file__).parent.parent / "pages"
_TYPES = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@router.get("/docs")
def docs() -> Response:
    """The page."""
    return Response((_PAGES / "docs.html").read_bytes(), media_type="text/html", headers=_HEADERS)


@router.get("/docs/{file}")
def docs_file(file: str) -> Response:
    """Its script and its style."""
    if file not in _TYPES:
        raise NotFound("There is no such page.")
    return Response((_PAGES / file).read_bytes(), media_type=_TYPES[file], headers=_HEADERS)

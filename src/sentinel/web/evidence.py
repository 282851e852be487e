"""``/api/v1/incidents/{id}/evidence``: the frame that was judged, the path to the target.

What a camera sends is somebody else's bytes under our address: the media type is one of a closed list, nothing may
guess another, and where a browser shows it as a page it is in a sandbox without a script.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from sentinel.web import answers, models
from sentinel.web.replies import answer, refused
from sentinel.web.view import VIEW

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; sandbox"  # browsers draw a bare picture with a style


async def exhibits(request: web.Request) -> web.Response:
    """What there is."""
    name = request.match_info["id"]
    found = await request.app[VIEW].store.history(name)
    if found is None:
        raise refused(404, "no such incident", f"no incident {name!r} was ever recorded")
    return answer(models.ExhibitPage(items=[answers.exhibit(one) for one in found.exhibits]))


async def exhibit(request: web.Request) -> web.Response:
    """One piece."""
    name, number = request.match_info["id"], request.match_info["number"]
    known = number.isascii() and number.isdigit() and len(number) < 10
    found = await request.app[VIEW].store.exhibit(name, int(number)) if known else None
    if found is None:
        raise refused(404, "no such evidence", "it is not kept, or not any more")
    return web.Response(
        body=found.data,
        headers={"Content-Type": found.media_type, "Content-Security-Policy": _POLICY, "Content-Disposition": "inline"},
    )

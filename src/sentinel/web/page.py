"""The wall page as it is first sent: complete without a script, which then only patches it."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jinja2
from aiohttp import web

from sentinel.config.configuration import Configuration
from sentinel.web import text, wall
from sentinel.web.layout import Layout, layout
from sentinel.web.view import VIEW, WebView
from sentinel.web.words import FOR_SCRIPT, Words, words_of

ENVIRONMENT: web.AppKey[jinja2.Environment] = web.AppKey("environment", jinja2.Environment)

_STATIC = {
    "wall.css": "text/css",
    "wall.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


class Layouts:
    """The layout of the configuration in force, worked out once for each."""

    def __init__(self, view: WebView) -> None:
        self._view = view
        self._last: tuple[Configuration, Layout] | None = None

    def current(self) -> Layout:
        """Of the configuration in force."""
        configuration = self._view.configuration()
        if self._last is None or self._last[0] is not configuration:
            self._last = configuration, layout(configuration)
        return self._last[1]


LAYOUTS = web.AppKey("layouts", Layouts)


def install(app: web.Application) -> None:
    """Add the page and what it loads; the files are read once, here."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sentinel.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["shown"] = text.shown
    app[ENVIRONMENT] = environment
    app[LAYOUTS] = Layouts(app[VIEW])
    app.router.add_get("/", wall_page)
    folder = files("sentinel.web") / "static"
    for name, content_type in _STATIC.items():
        app.router.add_get(f"/static/{name}", _static((folder / name).read_bytes(), content_type))


def _static(body: bytes, content_type: str) -> Any:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type=content_type, charset="utf-8")

    return answer


def render(request: web.Request, name: str, **context: Any) -> str:
    """A template, with every value escaped."""
    return request.app[ENVIRONMENT].get_template(f"{name}.j2").render(**context)


async def wall_page(request: web.Request) -> web.Response:
    """``/``: the wall, in the daemon's language or in ``?lang=``."""
    view = request.app[VIEW]
    words = words_of(request.query.get("lang"), view.locale)
    now = view.clock.now()
    content = await state(request.app, words)
    html = render(
        request,
        "wall.html",
        words=words,
        sections=request.app[LAYOUTS].current().sections,
        tiles={tile["id"]: tile for tile in content["tiles"]},
        content=content,
        now=now,
        clock=text.clock(now),
        date=text.date(now, words),
        age=lambda since: text.span(now - since, words),
        script_words=json.dumps({name: words[name] for name in FOR_SCRIPT}, ensure_ascii=False),
    )
    return web.Response(text=html, content_type="text/html", charset="utf-8")


async def state(app: web.Application, words: Words) -> dict[str, Any]:
    """Everything on the wall that can change."""
    view = app[VIEW]
    placed = app[LAYOUTS].current()
    return {
        "tiles": [wall.tile(spot, view.snapshot, words) for spot in placed.spots.values()],
        **await panels(app, words),
    }


async def panels(app: web.Application, words: Words) -> dict[str, Any]:
    """All but the tiles: verdict, incidents, promises."""
    view = app[VIEW]
    undelivered = sum((await view.store.undelivered()).values())
    return {
        "verdict": wall.verdict(app[LAYOUTS].current(), view.snapshot, undelivered, words),
        "incidents": wall.incidents(view.configuration(), view.snapshot, words),
        "promises": wall.promises(view.snapshot.sla, words),
    }

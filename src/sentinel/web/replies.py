"""What answers are made of: a model as JSON, a refusal as RFC 9457 has it."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from pydantic import BaseModel

from sentinel.web import models


def answer(model: BaseModel, *, status: int = 200) -> web.Response:
    """A model as JSON."""
    return web.json_response(model.model_dump(mode="json"), status=status)


def refused(status: int, title: str, detail: str, problems: Sequence[models.ProblemItem] = ()) -> web.HTTPException:
    """An answer as RFC 9457 (problem details) has it."""
    kinds: dict[int, type[web.HTTPException]] = {
        400: web.HTTPBadRequest,
        404: web.HTTPNotFound,
        409: web.HTTPConflict,
    }
    body = models.Refused(title=title, status=status, detail=detail, problems=list(problems))
    return kinds[status](text=body.model_dump_json(), content_type="application/problem+json")

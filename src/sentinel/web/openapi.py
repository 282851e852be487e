"""The OpenAPI 3.1 document, made from the routes and their models.

``make docs`` writes it to ``docs/openapi.json``, and a test says when that is out of date.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import sentinel
from sentinel.web.models import Refused


@dataclass(frozen=True, slots=True)
class Operation:
    """One route as the document has it.

    ``answer`` is the model of the 200, None where it is not JSON (``media``).  ``query`` is the model of the query,
    ``refusals`` are the statuses that bear a ``Refused``, ``control`` says that the Unix socket alone has it.
    """

    method: str
    path: str
    name: str
    summary: str
    answer: type[BaseModel] | None = None
    media: str = "application/json"
    query: type[BaseModel] | None = None
    refusals: tuple[int, ...] = ()
    not_ready: type[BaseModel] | None = None
    open: bool = False
    control: bool = False


_STATUS = {400: "The query is wrong.", 404: "Not known.", 409: "Refused: the old one stays in force."}


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The whole document."""
    found = (model for one in operations for model in (one.answer, one.not_ready, Refused))
    models: dict[str, type[BaseModel]] = {model.__name__: model for model in found if model is not None}
    _, definitions = models_json_schema(
        [(models[name], "serialization") for name in sorted(models)],
        ref_template="#/components/schemas/{model}",
    )
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sentinel",
            "version": sentinel.__version__,
            "summary": "State, incidents and promises of what is monitored.",
            "description": "Times are UTC epoch seconds, spans are seconds. Where the daemon has a token, it is sent "
            "as a bearer token; on the daemon's Unix socket none is asked for.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(one: Operation) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": {"description": "OK", "content": {one.media: {"schema": _schema(one.answer)}}}}
    if one.not_ready is not None:
        responses["503"] = {
            "description": "Not ready.",
            "content": {"application/json": {"schema": _schema(one.not_ready)}},
        }
    if not one.open and not one.control:
        responses["401"] = {"description": "A token is needed."}
    for status in one.refusals:
        responses[str(status)] = {
            "description": _STATUS[status],
            "content": {"application/problem+json": {"schema": _schema(Refused)}},
        }
    text = {"description": "On the daemon's Unix socket only."} if one.control else {}
    security: dict[str, Any] = {"security": []} if one.open or one.control else {}
    parameters = [*_in_path(one.path), *_in_query(one.query)]
    return {
        "operationId": one.name,
        "summary": one.summary,
        **text,
        **security,
        **({"parameters": parameters} if parameters else {}),
        "responses": responses,
    }


def _schema(model: type[BaseModel] | None) -> dict[str, Any]:
    return {"type": "string"} if model is None else {"$ref": f"#/components/schemas/{model.__name__}"}


def _in_path(path: str) -> list[dict[str, Any]]:
    return [
        {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string"}}
        for part in path.split("/")
        if part.startswith("{")
    ]


def _in_query(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    if model is None:
        return []
    found = []
    for name, schema in model.model_json_schema()["properties"].items():
        text = schema.pop("description", "")
        schema.pop("title", None)
        repeated = {"explode": True, "style": "form"} if schema.get("type") == "array" else {}
        found.append(
            {"name": name, "in": "query", "required": False, "description": text, "schema": schema, **repeated}
        )
    return found


def written(operations: Sequence[Operation]) -> str:
    """The document as the file has it."""
    return json.dumps(document(operations), indent=2, ensure_ascii=False) + "\n"

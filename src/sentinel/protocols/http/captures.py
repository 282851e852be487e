"""What a step takes from its answer: by pattern, JSON path, header, cookie or form field."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

import re2  # type: ignore[import-untyped]  # it ships without types
from multidict import CIMultiDictProxy

from sentinel.protocols.http.cookies import Jar
from sentinel.protocols.http.jsonpath import find
from sentinel.protocols.http.steps import MAX_TEXT, Capture
from sentinel.sdk.protocol import Run

_MAX_TAG: Final = 131_072  # characters of one input with its value: an ASP.NET view state is long
_MAX_TAGS: Final = 2_000
_MAX_SCANNED: Final = 4 << 20  # characters of all tags together
# Sizes are bounded above: on RE2 each of these takes time in proportion to the tag.
_TAG: Final = re2.compile(r"""(?i)<input[\s/](?:[^>"']|"[^"]*"|'[^']*')*>""")
_ATTRIBUTE: Final = re2.compile(r"""([^\s"'<>/=]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'=<>`]+))""")


def take(
    captures: Mapping[str, Capture], headers: CIMultiDictProxy[str], body: bytes, cookies: Jar, run: Run
) -> dict[str, str]:
    """The text of each capture; ``body`` is UTF-8.

    Raises:
        ProbeFailed: ``mismatch`` where one is not there, ``too_large`` where it is too long, ``protocol_error``
            where JSON is looked for and the body is none.
    """
    text = body.decode("utf-8", "replace") if any(each.matches or each.field for each in captures.values()) else ""
    document = _document(body, run) if any(each.json_path for each in captures.values()) else None
    taken: dict[str, str] = {}
    for name, each in captures.items():
        found: str | None
        if each.matches is not None:
            found = each.matches.find(text)
        elif each.field is not None:
            found = form_field(text, each.field)
        elif each.header is not None:
            found = headers.get(each.header)
        elif each.cookie is not None:
            value = cookies.value(each.cookie)
            found = None if value is None else unquote(value)
        else:
            found = _at(each.json_path or "", document, run)
        if found is None:
            run.fail("mismatch", f"nothing to capture as {name}: {_place(each)}")
        if len(found) > MAX_TEXT:
            run.fail("too_large", f"what is captured as {name} has more than {MAX_TEXT} characters")
        taken[name] = found
    return taken


def form_field(text: str, name: str) -> str | None:
    """The value of the first ``input`` of that name in an HTML text; empty where it has none, None without such."""
    for tag in _inputs(text):
        attributes: dict[str, str] = {}
        for found in _ATTRIBUTE.finditer(tag):
            value = next((group for group in found.groups()[1:] if group is not None), "")
            attributes.setdefault(found.group(1).lower(), html.unescape(value))
        if attributes.get("name") == name:
            return attributes.get("value", "")
    return None


def _inputs(text: str) -> Iterator[str]:
    lowered, at, scanned = text.lower(), 0, 0
    if len(lowered) != len(text):  # a few letters change their length: then the page's own spelling has to do
        lowered = text
    for _ in range(_MAX_TAGS):
        at = lowered.find("<input", at)
        if at < 0 or scanned > _MAX_SCANNED:
            return
        # A tag is usually short: only where no end is found in a little is more looked at.
        for most in (2_048, _MAX_TAG):
            window = text[at : at + most]
            scanned += len(window)
            found = _TAG.match(window)
            if found is not None or len(window) < most:
                break
        if found is not None:
            yield found.group(0)
        at += len("<input")


def _document(body: bytes, run: Run) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        run.fail("protocol_error", f"the body is not JSON: {type(error).__name__}")


def _at(path: str, document: Any, run: Run) -> str | None:
    try:
        found = find(path, document)
    except RecursionError:
        run.fail("protocol_error", "the JSON is nested too deeply")
    if not found or isinstance(found[0], dict | list) or found[0] is None:
        return None
    return found[0] if isinstance(found[0], str) else json.dumps(found[0])


def _place(capture: Capture) -> str:
    given = capture.model_dump(exclude_none=True)
    return ", ".join(f"{name} {value}" for name, value in given.items())

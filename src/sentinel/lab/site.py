"""A web application that a scenario can be played on: sessions, logins, and tokens that have to be brought back.

It is made from the scenario itself: each step is a page of its own, which a visitor sees only in the order of the
steps, in one session, and with exactly what the pages before it gave out.
"""

from __future__ import annotations

import json
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

from yarl import URL

from sentinel.domain.target import Check
from sentinel.lab.examples import NoExample, document_for, text_for
from sentinel.lab.page import Page
from sentinel.sdk.placeholders import fill, names_in

COOKIE: Final = "LABSESSION"
MOST_SESSIONS: Final = 500


@dataclass(slots=True)
class _Session:
    """One visitor: how many steps are behind it, what it was given, and the page that it is on."""

    done: int = 0
    known: dict[str, str] = field(default_factory=dict)
    page: URL = field(default_factory=lambda: URL("http://lab/"))


class Site:
    """The pages of one scenario."""

    def __init__(self, check: Check, notes: list[str]) -> None:
        """Try every page once; what cannot be made is told in ``notes``."""
        self._check, self._steps = check, check.options.steps
        self._secrets = {name: secret.get_secret_value() for name, secret in check.options.secrets.items()}
        self._links = {step.path[1:-1] for step in self._steps if not step.path.startswith("/")}
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        try:
            for step in self._steps:
                self._page(step, _Session(known=dict(self._secrets)))
        except NoExample as error:
            notes.append(f"{check.id}: {error}")

    def answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, *, refuse: bool = False
    ) -> Page | None:
        """The answer to a request; None where no step asks for that page.

        ``refuse``: no secret is taken for right.
        """
        token = dict(pair.strip().partition("=")[::2] for pair in headers.get("cookie", "").split(";")).get(COOKIE, "")
        session = self._sessions.get(token, _Session(known=dict(self._secrets)))
        # The step that is next first: two may share a page.
        order = sorted(range(len(self._steps)), key=lambda number: (number != session.done, number))
        known_page = False
        for number in order:
            step = self._steps[number]
            if number > session.done or step.verb != method or not _same(self._url(step, session), path):
                known_page |= step.verb == method and step.path.partition("?")[0] == urlsplit(path).path
                continue
            known_page = True
            secret = any(names_in(text) & self._secrets.keys() for text in step.texts)
            if not (refuse and secret) and self._brought(step, session, headers, body):
                return self._pass(number, token, session)
        if not known_page:
            return None
        return Page(403, f"<p>{escape(self._check.target.name)}:登录无效或已过期</p>".encode())

    def _pass(self, number: int, token: str, session: _Session) -> Page:
        if number == 0:  # whoever comes to the first page begins anew
            token, session = secrets.token_urlsafe(16), _Session(known=dict(self._secrets))
            self._sessions[token] = session
            if len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)
        step = self._steps[number]
        page = self._page(step, session, [f"{COOKIE}={token}; Path=/; HttpOnly"] if number == 0 else [])
        session.page = self._url(step, session)
        session.done = max(session.done, number + 1)
        return page

    def _url(self, step: Any, session: _Session) -> URL:
        """Where the step is, in this session."""
        if step.path.startswith("/"):
            return URL("http://lab" + fill(step.path, _Missing(session.known), lambda value: quote(value, safe="")))
        return session.page.join(URL(fill(step.path, _Missing(session.known))))

    def _brought(self, step: Any, session: _Session, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether the request holds all that the step has to bring."""
        known = _Missing(session.known)
        for name, value in step.headers.items():
            if headers.get(name.lower()) != fill(value.get_secret_value(), known):
                return False
        own = self._check.options.own_headers.get("Authorization")
        if own is not None and headers.get("authorization") != own:
            return False
        if step.form is not None:
            wanted = {name: fill(value.get_secret_value(), known) for name, value in step.form.items()}
            return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)) == wanted
        if step.json_body is not None:
            try:
                return bool(json.loads(body) == _filled(step.json_body, known))
            except ValueError:
                return False
        return step.body is None or body == fill(step.body.get_secret_value(), known).encode()

    def _page(self, step: Any, session: _Session, cookies: list[str] | None = None) -> Page:
        """The step's page, with new values for all that is captured from it.

        Raises:
            NoExample: no page can be made that satisfies all that is expected.
        """
        allowed = step.allowed_status
        headers = {
            each.name.title(): text_for(each.matches) if each.matches else "lab"
            for each in step.expect_headers
            if not each.absent
        }
        cookies = list(cookies or ())
        lines, wanted = [], list(step.expect_json)
        for name, capture in step.capture.items():
            value = f"/lab/{name}" if name in self._links else secrets.token_urlsafe(12)
            if capture.matches is not None:
                text = text_for(capture.matches)
                value = capture.matches.find(text) or ""
                lines.append(text)
            elif capture.header is not None:
                headers[capture.header.title()] = value
            elif capture.cookie is not None:
                cookies.append(f"{capture.cookie}={value}; Path=/")
            elif capture.field is not None:
                lines.append(f'<input type="hidden" name="{escape(capture.field)}" value="{escape(value)}">')
            else:
                wanted.append(SimpleNamespace(path=capture.json_path, model_fields_set={"equals"}, equals=value))
            session.known[name] = value
        status = 200 if 200 in allowed else min(allowed)
        if wanted:
            body = json.dumps(document_for(wanted), ensure_ascii=False).encode()
            return Page(status, body, "application/json", headers, cookies=tuple(cookies))
        lines += [*(text_for(pattern) for pattern in step.body_matches), *step.body_contains]
        body = f"<h1>{escape(self._check.target.name)}</h1>\n{chr(10).join(lines)}".encode()
        if any(text.encode() in body for text in step.body_not_contains) or any(
            pattern.found_in(body) for pattern in step.body_not_matches
        ):
            raise NoExample(f"no page can be made for the step {step.name}")
        return Page(status, body, headers=headers, cookies=tuple(cookies))


class _Missing(dict[str, str]):
    """What was not given out yet is nothing that anybody could bring."""

    def __missing__(self, key: str) -> str:
        return f"not-yet-{key}"


def _same(url: URL, path: str) -> bool:
    asked = URL("http://lab").join(URL(path))
    return url.path == asked.path and url.query == asked.query


def _filled(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return fill(value, known)
    if isinstance(value, dict):
        return {name: _filled(each, known) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(each, known) for each in value]
    return value

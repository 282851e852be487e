"""The options of a scenario: its steps, what each takes from its answer, and the names that go from one to the next."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Literal

from pydantic import Field, SecretStr, model_validator

from sentinel.protocols.http.expectations import Expectations, HeaderName, HeaderValue, JsonPath
from sentinel.sdk.patterns import Pattern
from sentinel.sdk.placeholders import Name, names_in, require
from sentinel.sdk.protocol import Options

MAX_TEXT = 65_536
"""Characters of a body to send, and of what one capture may hold."""


class Capture(Options):
    """Something to take from an answer, for later steps; exactly one place.  Where it is not found the step fails."""

    matches: Pattern | None = Field(
        default=None, description="Pattern (RE2) in the body: its first group, or all that it matches."
    )
    json_path: JsonPath | None = Field(
        default=None, description="JSONPath of RFC 9535 in a JSON body: the first value that it finds."
    )
    header: HeaderName | None = Field(default=None, description="A header of the answer.")
    cookie: str | None = Field(
        default=None, min_length=1, max_length=200, description="A cookie of the scenario so far, percent-decoded."
    )
    field: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="The value of the form field (HTML input, hidden ones too) with this name: a CSRF token.",
    )

    @model_validator(mode="after")
    def _one_place(self) -> Capture:
        if sum(getattr(self, name) is not None for name in type(self).model_fields) != 1:
            raise ValueError("give one of matches, json_path, header, cookie, field")
        return self


class Step(Expectations):
    """One request of a scenario, what its answer must be like, and what is taken from it.

    ``{name}`` in path, headers, form, json_body and body stands for a secret or for what an earlier step captured,
    encoded as the place wants it.  ``{{name}}`` stands for itself.
    """

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_-]{0,39}$", description="The step's name, for step_seconds and for what is told."
    )
    path: str = Field(
        default="/",
        pattern=r"^(/[^\s#\\]*|\{[a-z][a-z0-9_]{0,39}\})$",
        max_length=2000,
        description="Path with its query. A placeholder alone is a link that was captured, on the same host.",
    )
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] | None = Field(
        default=None, description="Method; POST where form, json_body or body is given, GET elsewhere."
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict, max_length=50, description="More headers of this request. They go to the target only."
    )
    form: dict[str, SecretStr] | None = Field(
        default=None, max_length=200, description="Fields to send as a form (application/x-www-form-urlencoded)."
    )
    json_body: Any = Field(default=None, description="What to send as JSON. Secrets stand in it as {name} only.")
    body: SecretStr | None = Field(default=None, max_length=MAX_TEXT, description="Body to send as it is, as UTF-8.")
    redirects: int | None = Field(
        default=None, ge=0, le=20, description="Redirects that this step follows at most; the check's own otherwise."
    )
    timeout: float | None = Field(
        default=None, gt=0, le=300, description="Seconds for this step; what is left of the check's where not given."
    )
    capture: dict[Name, Capture] = Field(
        default_factory=dict, max_length=20, description="Name to what is taken from the answer, for later steps."
    )

    @model_validator(mode="after")
    def _one_content(self) -> Step:
        if sum(content is not None for content in (self.form, self.json_body, self.body)) > 1:
            raise ValueError("form, json_body and body exclude each other")
        if self.content and self.verb in {"GET", "HEAD"}:
            raise ValueError(f"a {self.verb} has no body")
        return self

    @property
    def content(self) -> bool:
        """Whether anything is sent in a body."""
        return self.form is not None or self.json_body is not None or self.body is not None

    @property
    def verb(self) -> str:
        """The method that is used."""
        return self.method or ("POST" if self.content else "GET")

    @property
    def texts(self) -> Iterator[str]:
        """Every text that may hold placeholders."""
        yield self.path
        yield from (value.get_secret_value() for value in (self.form or {}).values())
        yield from (value.get_secret_value() for value in self.headers.values())
        yield from _strings(self.json_body)
        if self.body is not None:
            yield self.body.get_secret_value()


def check_names(steps: Sequence[Step], secrets: Collection[str]) -> None:
    """Refuse a step's name that stands twice, and a placeholder that nothing stands for.

    Raises:
        ValueError: a name stands twice.
        PydanticCustomError: as ``placeholders.require``.
    """
    names = [step.name for step in steps]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two steps are called {twice[0]}")
    known = set(secrets)
    for step in steps:
        for text in step.texts:
            require(names_in(text), known, f"step {step.name}")
        if both := sorted(known & set(step.capture) & set(secrets)):
            raise ValueError(f"step {step.name} captures {both[0]}, which is a secret's name")
        known |= set(step.capture)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _strings(each)

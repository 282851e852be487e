"""What can be expected of an answer, as options."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from sentinel.protocols.http.jsonpath import compiled
from sentinel.sdk.patterns import Pattern
from sentinel.sdk.protocol import Options

HeaderName = Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", max_length=100)]
"""A token of RFC 9110, 5.6.2."""

StatusRange = Annotated[str, StringConstraints(pattern=r"^([1-5]xx|[1-5][0-9]{2}-[1-5][0-9]{2})$")]
Status = Annotated[int, Field(ge=100, le=599)]


def _is_path(path: str) -> str:
    compiled(path)
    return path


JsonPath = Annotated[str, StringConstraints(max_length=500), AfterValidator(_is_path)]


def is_header_value(text: str) -> bool:
    """Whether the text can stand in a header: it has no line end and no control character but the tab."""
    return not any(character < " " and character != "\t" for character in text)


def _checked_header_value(value: SecretStr) -> SecretStr:
    if not is_header_value(value.get_secret_value()):
        raise ValueError("a header's value has no line ends and no control characters")
    return value


HeaderValue = Annotated[SecretStr, AfterValidator(_checked_header_value)]


class HeaderExpectation(Options):
    """A header that the answer must have; with ``matches`` one that a pattern is found in; or must not have."""

    name: HeaderName = Field(description="The header's name; upper and lower case are the same.")
    matches: Pattern | None = Field(default=None, description="Pattern (RE2) that one of its values must hold.")
    absent: bool = Field(default=False, description="The answer must not have this header.")

    @model_validator(mode="after")
    def _not_both(self) -> HeaderExpectation:
        if self.absent and self.matches is not None:
            raise ValueError("matches and absent exclude each other")
        return self


class JsonExpectation(Options):
    """Values of a JSON body: the path must find at least one, and every one that it finds must compare."""

    path: JsonPath = Field(description="JSONPath of RFC 9535: $.status, $.nodes[?@.role=='main'].state.")
    equals: bool | int | float | str | None = Field(default=None, description="The value, in JSON's own types.")
    not_equals: bool | int | float | str | None = Field(default=None, description="What the value must not be.")
    at_least: float | None = Field(default=None, description="Least number.")
    at_most: float | None = Field(default=None, description="Greatest number.")
    matches: Pattern | None = Field(default=None, description="Pattern (RE2) that the text must hold.")
    record: str | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9_]{0,39}$",
        description="Name under which the first number is measured, as value json_value:<name>, for rules.",
    )


class Expectations(Options):
    """What an answer must be like."""

    status: tuple[Status | StatusRange, ...] = Field(
        default=("2xx",),
        min_length=1,
        description="Status codes that are expected: 200, 2xx, 200-204.",
    )
    expect_headers: tuple[HeaderExpectation, ...] = Field(default=(), description="What is expected of the headers.")
    body_contains: tuple[str, ...] = Field(default=(), description="Texts that the body must hold.")
    body_not_contains: tuple[str, ...] = Field(default=(), description="Texts that the body must not hold.")
    body_matches: tuple[Pattern, ...] = Field(default=(), description="Patterns (RE2) that the body must hold.")
    body_not_matches: tuple[Pattern, ...] = Field(default=(), description="Patterns (RE2) that the body must not hold.")
    expect_json: tuple[JsonExpectation, ...] = Field(default=(), description="What is expected of a JSON body.")

    @model_validator(mode="after")
    def _sound_ranges(self) -> Expectations:
        for codes in self.status:
            if isinstance(codes, str) and "-" in codes and codes[:3] > codes[4:]:
                raise ValueError(f"status: {codes} is empty")
        return self

    @cached_property
    def allowed_status(self) -> frozenset[int]:
        """Every status code that is expected."""
        codes: set[int] = set()
        for item in self.status:
            if isinstance(item, int):
                codes.add(item)
            elif item.endswith("xx"):
                codes.update(range(int(item[0]) * 100, int(item[0]) * 100 + 100))
            else:
                codes.update(range(int(item[:3]), int(item[4:]) + 1))
        return frozenset(codes)

    @cached_property
    def wants_body(self) -> bool:
        """Whether anything is expected of the body."""
        expected: tuple[Any, ...] = (
            *self.body_contains,
            *self.body_not_contains,
            *self.body_matches,
            *self.body_not_matches,
            *self.expect_json,
        )
        return bool(expected)

"""Operators' patterns, on RE2: time grows with the text alone, whatever the pattern is.

    class BannerOptions(Options):
        banner: Pattern | None = Field(None, description="What the greeting must match (RE2).")

    if options.banner and not options.banner.found_in(data): ...

Twenty-seven characters held Python's ``re`` for ten seconds; a pattern from a file or a text from a peer must not
hold the event loop.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import re2  # type: ignore[import-untyped]  # it ships without types
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

MAX_PATTERN: Final = 1_000
"""Characters in a pattern, at most."""

_MAX_MEMORY: Final = 4 << 20  # bytes for a compiled pattern and its automaton; RE2's own default is 8 MiB


class Pattern:
    """A compiled pattern in RE2's syntax (https://github.com/google/re2/wiki/Syntax), found anywhere in a text.

    A field of a pydantic model: validated from a string, dumped as that string.  Anchors are the pattern's own
    business; ``(?i)``, ``(?m)`` and ``(?s)`` are its flags.  Bytes are read as UTF-8.
    """

    __slots__ = ("_compiled", "source")

    def __init__(self, source: str) -> None:
        """Compile.

        Raises:
            ValueError: not in RE2's syntax (it has no look-around and no back-references), or too long.
        """
        self.source = source
        self._compiled = _compile(source)

    def found_in(self, text: str | bytes) -> bool:
        """Whether the pattern occurs anywhere in the text."""
        return self._compiled.search(text) is not None

    def whole(self, text: str | bytes) -> bool:
        """Whether the pattern matches the text from its first to its last character."""
        return self._compiled.fullmatch(text) is not None

    def find(self, text: str) -> str | None:
        """The first occurrence: its first group where the pattern has one, else all of it; None where there is none."""
        found = self._compiled.search(text)
        if found is None:
            return None
        return str(found.group(1 if self._compiled.groups else 0) or "")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and other.source == self.source

    def __hash__(self) -> int:
        return hash(self.source)

    def __str__(self) -> str:
        return self.source

    def __repr__(self) -> str:
        return f"Pattern({self.source!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        text = core_schema.no_info_after_validator_function(
            cls, core_schema.str_schema(max_length=MAX_PATTERN, strict=True)
        )
        return core_schema.json_or_python_schema(
            json_schema=text,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), text], mode="left_to_right"),
            serialization=core_schema.to_string_ser_schema(),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls,
        _schema: core_schema.CoreSchema,
        _handler: GetJsonSchemaHandler,
    ) -> JsonSchemaValue:
        return {"type": "string", "maxLength": MAX_PATTERN, "title": "RE2 pattern"}


@lru_cache(maxsize=4096)  # a thousand checks share a probe's few patterns
def _compile(source: str) -> Any:
    if len(source) > MAX_PATTERN:
        raise ValueError(f"a pattern has at most {MAX_PATTERN} characters")
    options = re2.Options()
    options.max_mem = _MAX_MEMORY
    options.log_errors = False  # RE2 writes to standard error otherwise
    try:
        return re2.compile(source, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"not a pattern of RE2: {reason}") from None

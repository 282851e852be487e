"""Operators' templates: Jinja2 in its immutable sandbox, with an end to their output and to their time.

Text stays as it is (autoescape is off, a body is rarely HTML); ``| tojson`` writes a value as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from functools import lru_cache
from types import FrameType
from typing import Any, Final

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MOST_OUTPUT: Final = 262_144
"""Characters."""
MOST_SECONDS: Final = 1.0
_MOST_PRODUCT: Final = 65_536


_INFLATING: Final = frozenset(
    {"center", "expandtabs", "format", "format_map", "join", "ljust", "replace", "rjust", "translate", "zfill"}
)


class TemplateFailed(Exception):
    """The template is wrong, or makes too much, or takes too long; the message says which."""


class _Late(Exception):
    pass


class _Environment(ImmutableSandboxedEnvironment):
    # "x" * 10**9 and 9 ** 9 ** 9 end in one step of the interpreter: they are looked at before.
    intercepted_binops = frozenset({"*", "**", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Refuse the methods of text that pad or multiply it in one step."""
        if isinstance(obj, str | bytes) and attribute in _INFLATING:
            return self.unsafe_undefined(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """The same for ``text["format"]``."""
        if isinstance(obj, str | bytes) and argument in _INFLATING:
            return self.unsafe_undefined(obj, argument)
        return super().getitem(obj, argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Refuse a product, a power or a format that grows beyond all measure."""
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if operator == "**" and not (numbers and abs(left) <= 1000 and abs(right) <= 10):
            raise SecurityError("a power is too large")
        if operator == "*" and not numbers:
            size = len(left) * right if hasattr(left, "__len__") else left * len(right)
            if size > _MOST_PRODUCT:
                raise SecurityError("a repetition is too long")
        if operator == "%" and not numbers:
            raise SecurityError("format with ~ and filters, not with %")
        return super().call_binop(context, operator, left, right)


_environment = _Environment(autoescape=False, undefined=StrictUndefined, keep_trailing_newline=True)
# Jinja's own escapes <, > and & for HTML; a JSON body needs the plain value.
_environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
# Filters that pad or format to any width in one step; globals that make rows of any length.
for _name in ("center", "format", "indent", "wordwrap", "pprint", "xmlattr", "filesizeformat"):
    _environment.filters.pop(_name)
for _name in ("range", "lipsum", "cycler", "joiner", "namespace"):
    _environment.globals.pop(_name)


@lru_cache(maxsize=64)
def compile_template(source: str) -> Template:
    """Compile once.

    Raises:
        TemplateFailed: a mistake in its syntax, with the line.
    """
    try:
        return _environment.from_string(source)
    except TemplateError as error:
        raise TemplateFailed(f"line {getattr(error, 'lineno', 0)}: {error}"[:300]) from None


async def render(source: str, fields: Mapping[str, Any]) -> str:
    """The text that the template makes of the fields, made beside the loop.

    Raises:
        TemplateFailed: an unknown field, something the sandbox forbids, more than ``MOST_OUTPUT`` characters or
            longer than ``MOST_SECONDS``.
    """
    return await asyncio.to_thread(_render, compile_template(source), fields)


def _render(template: Template, fields: Mapping[str, Any]) -> str:
    end = time.monotonic() + MOST_SECONDS

    def watch(_frame: FrameType, _event: str, _argument: Any) -> Any:
        if time.monotonic() > end:
            raise _Late
        return watch

    before = sys.gettrace()
    sys.settrace(watch)  # this thread only; a loop without output can be ended in no other way
    try:
        return _bounded(template, fields)
    except _Late:
        raise TemplateFailed(f"takes longer than {MOST_SECONDS:g} s") from None
    except TemplateFailed:
        raise
    except Exception as error:  # noqa: BLE001 - whatever an expression can raise
        raise TemplateFailed(f"{type(error).__name__}: {error}"[:300]) from None
    finally:
        sys.settrace(before)


def _bounded(template: Template, fields: Mapping[str, Any]) -> str:
    parts: list[str] = []
    size = 0
    for part in template.generate(fields):
        size += len(part)
        if size > MOST_OUTPUT:
            raise TemplateFailed(f"makes more than {MOST_OUTPUT} characters")
        parts.append(part)
    return "".join(parts)

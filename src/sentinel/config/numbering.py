"""``{n}``, ``{n:02}``, ``{n:x}``, ``{n+100}``: one entry that stands for many."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

_FIELD = re.compile(r"\{([^{}]*)\}")
_SPEC = re.compile(r"([a-z]+)([+-][0-9]{1,9})?(?::(0[1-9]|0[1-9]x|x))?")
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_NAME = re.compile(
    r"(?=.{1,253}$)([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.?"
)


def number(text: str, variables: Mapping[str, int]) -> str:
    """The text with every ``{…}`` replaced.

    Raises:
        ValueError: a field is not understood, or its variable is not known here.
    """
    if "{" not in text and "}" not in text:
        return text

    def replace(found: re.Match[str]) -> str:
        spec = _SPEC.fullmatch(found[1])
        if spec is None or spec[1] not in variables:
            names = ", ".join(f"`{{{name}}}`" for name in variables)
            raise ValueError(f"`{found[0][:40]}` is not understood here; known: {names}, with `:02`, `:x` or `+10`")
        value = variables[spec[1]] + int(spec[2] or 0)
        if value < 0:
            raise ValueError(f"`{found[0]}` is below zero")
        return format(value, spec[3] or "d")

    result = _FIELD.sub(replace, text)
    if "{" in result or "}" in result:
        raise ValueError("a brace without its partner")
    return result


def uses(text: str, variable: str) -> bool:
    """Whether a text has a field of this variable."""
    return any((spec := _SPEC.fullmatch(field)) and spec[1] == variable for field in _FIELD.findall(text))


def identifier(text: str) -> str:
    """The text where it is an id.

    Raises:
        ValueError: it is none.
    """
    if not _SLUG.fullmatch(text):
        raise ValueError(f"`{text[:80]}` is no id: small letters, digits and hyphens only, at most 63")
    return text


def address(text: str) -> str:
    """The text where it is an IP address (in its usual spelling) or a host name (RFC 1123, 2.1).

    Raises:
        ValueError: it is neither.
    """
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    # Digits and dots only: an address that was mistyped, not a name.
    if re.fullmatch(r"[0-9.]+", text) or ":" in text or not _NAME.fullmatch(text):
        raise ValueError(f"`{text[:80]}` is neither an IP address nor a host name")
    return text

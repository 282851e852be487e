"""Placeholders in operators' texts: ``{name}`` stands for a secret, or for what an earlier answer held.

``{{name}}`` stands for ``{name}`` itself; every other brace does too, so that JSON needs no escapes.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Final
from urllib.parse import quote_plus

from pydantic import StringConstraints
from pydantic_core import PydanticCustomError

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
"""What a placeholder may be called."""

_PLACEHOLDER: Final = re.compile(r"\{\{([a-z][a-z0-9_]{0,39})\}\}|\{([a-z][a-z0-9_]{0,39})\}")
_ENOUGH: Final = 6  # characters at a secret's beginning that give it away
_HIDDEN: Final = "***"


def names_in(text: str) -> frozenset[str]:
    """The names that a text has placeholders for."""
    return frozenset(found[2] for found in _PLACEHOLDER.finditer(text) if found[2])


def fill(text: str, values: Mapping[str, str], encoded: Callable[[str], str] = str) -> str:
    """The text with each placeholder replaced by its value, ``encoded`` as the place wants it.

    What a value holds is never read as a placeholder in turn.

    Raises:
        KeyError: there is no such value; ``require`` finds that out when the options are read.
    """
    return _PLACEHOLDER.sub(lambda found: encoded(values[found[2]]) if found[2] else found[0][1:-1], text)


def require(names: Iterable[str], known: Iterable[str], place: str) -> None:
    """Refuse a placeholder that nothing stands for.

    The error is of the type ``missing``: a probe may leave secrets to the checks that use it.

    Raises:
        PydanticCustomError: names the first one, and where it stands.
    """
    if unknown := sorted(set(names) - set(known)):
        raise PydanticCustomError(
            "missing",
            "{place} has a placeholder {name}, but there is no such secret and no earlier step captures it; "
            "doubled braces stand for themselves",
            {"place": place, "name": f"{{{unknown[0]}}}"},
        )


def hide(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets, however a peer or a library may have written them: quoted, escaped, or cut off.

    Of a secret of more than six characters, its first six are hidden wherever they stand.
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = _without(text, [_spellings(character) for character in secret])
    return text


def _without(text: str, spelt: Sequence[Sequence[str]]) -> str:
    kept, at, begun = [], 0, 0
    while at < len(text):
        end, length = at, 0
        for spellings in spelt:
            found = next((one for one in spellings if text[end : end + len(one)].lower() == one), None)
            if found is None:
                break
            end, length = end + len(found), length + 1
        if length >= min(_ENOUGH, len(spelt)):
            kept += [text[begun:at], _HIDDEN]
            at = begun = end
        else:
            at += 1
    return "".join([*kept, text[begun:]])


def _spellings(character: str) -> tuple[str, ...]:
    """One character as it stands in URLs, JSON, HTML and Python, in small letters, the longest first."""
    forms = {
        character,
        "".join(f"%{byte:02x}" for byte in character.encode()),
        quote_plus(character),
        html.escape(character),
        json.dumps(character)[1:-1],
        f"\\{character}",
    }
    return tuple(sorted((form.lower() for form in forms), key=len, reverse=True))

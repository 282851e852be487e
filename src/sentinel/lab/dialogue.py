"""The other side of a TCP dialogue: for each thing that is said, the answer that the check's step expects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sentinel.domain.target import Check
from sentinel.lab.examples import NoExample, text_for
from sentinel.sdk.patterns import Pattern
from sentinel.sdk.placeholders import fill


class Dialogue:
    """``turns`` are pairs of what the check says (empty where it only listens) and what it is answered."""

    def __init__(self, check: Check) -> None:
        """Make the answers.

        Raises:
            NoExample: no answer can be made that a step is content with.
        """
        options = check.options
        secrets = {name: secret.get_secret_value() for name, secret in options.secrets.items()}
        self.turns: tuple[tuple[bytes, bytes], ...] = tuple(
            (_said(step, secrets), _answer(label, step, options.line_end)) for label, step in options.steps
        )


def _said(step: Any, secrets: Mapping[str, str]) -> bytes:
    if step.send is not None:
        return fill(step.send.get_secret_value(), secrets).encode()
    return bytes.fromhex((step.send_hex or "").replace(":", " "))


def _answer(label: str, step: Any, line_end: str) -> bytes:
    if step.expect_hex is not None:
        return bytes.fromhex(step.expect_hex.replace(":", " "))
    end = line_end if step.line_end is None else step.line_end
    lines = [_with_word(number.matches, number.words) for number in step.numbers.values()]
    lines += [text_for(pattern) for pattern in step.facts.values()]
    if step.expect is not None:
        lines.append(step.expect)
    if step.expect_matches is not None:
        lines.append(text_for(step.expect_matches))
    if step.error_matches is not None and any(step.error_matches.found_in(line) for line in lines):
        raise NoExample(f"the good answer to step {label} is one that says no")
    return "".join(line + end for line in lines).encode()


def _with_word(pattern: Pattern, words: Mapping[str, float]) -> str:
    """A line with a number that the pattern finds; one of the words where it looks for words."""
    line = text_for(pattern)
    found = pattern.find(line) or ""
    for word in [found] if _is_number(found) else words:
        before, _, after = line.rpartition(found)
        changed = before + word + after
        if pattern.find(changed) == word:
            return changed
    raise NoExample(f"no line with a number can be made for {pattern.source!r}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

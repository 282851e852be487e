"""The log: JSON lines under systemd or a pipe, for people on a terminal; hostile text cannot leave its line."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
# Marks that turn the direction of the text around them (Unicode TR9), and line separators.
_CONTROL |= {
    code: f"\\u{code:04x}" for code in (0x061C, *range(0x200E, 0x2010), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
}


def configure(*, verbose: bool = False, json: bool | None = None) -> None:
    """Set up logging once, for the whole process.  ``json`` None: by whether stderr is a terminal."""
    json = not sys.stderr.isatty() if json is None else json
    level = logging.DEBUG if verbose else logging.INFO
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info if json else _keep,
    ]
    if json:
        renderer: list[Any] = [structlog.processors.JSONRenderer(ensure_ascii=False, default=str), _one_line]
    else:
        renderer = [_escape, structlog.dev.ConsoleRenderer()]
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_ToStructlog()], level=logging.WARNING, force=True)


class _ToStructlog(logging.Handler):
    """What libraries log through the standard library comes out the same way."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger(record.name).log(
            record.levelno, record.getMessage(), **({"exc_info": record.exc_info} if record.exc_info else {})
        )


def _keep(_logger: object, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    return event


def _escape(_logger: object, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    return {key: escape(value) if isinstance(value, str) else value for key, value in event.items()}


def _one_line(_logger: object, _name: str, line: str) -> str:
    return line.translate(_CONTROL)


def escape(text: str) -> str:
    """Text that cannot end its line, move the cursor or turn the direction of writing."""
    return text.translate(_CONTROL)

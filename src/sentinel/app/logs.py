"""The log: JSON lines under systemd or a pipe, for people on a terminal; hostile text cannot leave its line.

Tracebacks name files and lines, never the values of variables: those may be passwords.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Any, TextIO, cast

import structlog

from sentinel.app.text import escape, escape_json


def configure(*, verbose: bool = False, json: bool | None = None) -> None:
    """Set up logging once, for the whole process.  ``json`` None: by whether stderr is a terminal."""
    json = not sys.stderr.isatty() if json is None else json
    level = logging.DEBUG if verbose else logging.INFO
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if json:
        renderer: list[Any] = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
            _one_line,
        ]
    else:
        plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        renderer = [structlog.processors.format_exc_info, _escape, plain]
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Steadfast(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_ToStructlog()], level=logging.WARNING, force=True)


class _Steadfast:
    """A stream to which a line is written or lost: a log on a disk that is full must not stop who logs that."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or not."""
        with contextlib.suppress(OSError, ValueError):
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        """Flush, or not."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


class _ToStructlog(logging.Handler):
    """What libraries log through the standard library comes out the same way."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            said = record.getMessage()
        except (TypeError, ValueError):  # a library's own mistake is no reason to lose its line
            said = str(record.msg)
        structlog.get_logger(record.name).log(
            record.levelno,
            said,
            logger=record.name,
            **({"exc_info": record.exc_info} if record.exc_info else {}),
        )


def _escape(_logger: object, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    """Every value, however deep a text stands in it; of a traceback each line is a line of ours."""
    return {
        key: "\n".join(map(escape, value.splitlines())) if key == "exception" else _escaped(value)
        for key, value in event.items()
    }


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, dict):
        return {_escaped(key): _escaped(child) for key, child in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_escaped(child) for child in value]
    return value if isinstance(value, int | float | None) else escape(str(value))


def _one_line(_logger: object, _name: str, line: str) -> str:
    return escape_json(line)

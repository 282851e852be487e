"""Hostile text cannot leave its line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from sentinel.app.logs import configure
from sentinel.app.text import escape

HOSTILE = 'a\r\nb\x1b[2J"\\ \x00 \u202ekcab \u2028line \u0085 \x7f end'


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_no_control_character_and_no_mark_of_direction_is_left() -> None:
    text = escape(HOSTILE)
    assert not set(text) & {chr(code) for code in (*range(32), *range(127, 160), 0x2028, 0x202E)}
    assert "\\x1b[2J" in text
    assert "\\u202e" in text
    assert escape("大厅终端 07: ok") == "大厅终端 07: ok"


def test_one_event_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure(json=True)
    structlog.get_logger("t").warning("probe", detail=HOSTILE, nested={"name": HOSTILE}, name="大厅")
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        structlog.get_logger("t").exception("defect")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    first, second = (json.loads(line) for line in lines)
    assert (first["event"], first["level"], first["name"]) == ("probe", "warning", "大厅")
    assert first["detail"] == first["nested"]["name"] == HOSTILE  # whoever parses it reads what was said
    assert "Traceback" in second["exception"]
    assert all(ord(letter) >= 32 for line in lines for letter in line)


def test_on_a_terminal_it_stays_on_its_line_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    configure(json=False)
    structlog.get_logger("t").info("probe", detail=HOSTILE)
    (line,) = capsys.readouterr().err.splitlines()
    assert "[2J" in line
    assert "\x1b[2J" not in line


@pytest.mark.parametrize(("verbose", "shown"), [(False, 1), (True, 2)])
def test_how_much_is_said(verbose: bool, shown: int, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: FBT001 - given by name
    configure(verbose=verbose, json=True)
    log = structlog.get_logger("t")
    log.debug("every result")
    log.info("a change")
    assert len(capsys.readouterr().err.splitlines()) == shown


def test_what_libraries_log_comes_out_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    configure(json=True)
    logging.getLogger("library").warning("odd: %s", HOSTILE)
    logging.getLogger("library").info("chatter")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"].startswith("odd: a")

"""What is asked, and what the answers mean (PJLink Class 1, version 1.04; Class 2, version 2.00)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sentinel.sdk.protocol import Run, Value

INPUTS: Final = {"1": "RGB", "2": "VIDEO", "3": "DIGITAL", "4": "STORAGE", "5": "NETWORK", "6": "INTERNAL"}
PARTS: Final = ("fan", "lamp", "temperature", "cover", "filter", "other")
"""In the order of ERST's digits."""

VALUES: Final = (
    Value("power", "", "0 standby, 1 on, 2 cooling down, 3 warming up."),
    Value("input_type", "", "Kind of the input shown: 1 RGB, 2 video, 3 digital, 4 storage, 5 network, 6 internal."),
    Value("video_muted", "", "1 where the picture is blanked; else 0."),
    Value("audio_muted", "", "1 where the sound is muted; else 0."),
    Value(
        "error", "", "State of fan, lamp, temperature, cover, filter, other: 0 good, 1 warning, 2 error.", items=True
    ),
    Value("lamp_hours", "h", "Hours of each lamp.", items=True),
    Value("lamp_on", "", "1 where the lamp is lit; else 0.", items=True),
    Value("device_failure", "", "1 where the device answers that it is faulty (ERR4); else 0."),
    Value("unavailable", "", "Questions that the device cannot answer at the moment (ERR3), as in standby."),
    Value("frozen", "", "1 where the picture is frozen; else 0. Class 2."),
    Value("signal", "", "1 where the input has a signal, 0 where it has none. Class 2."),
    Value("filter_hours", "h", "Hours of the filter. Class 2."),
)


@dataclass(frozen=True, slots=True)
class Question:
    """One question; ``read`` puts the answer down and is False where it makes no sense.

    ``lasting``: the answer hardly ever changes, so it is asked for now and then.
    """

    command: str
    read: Callable[[str, Run], bool]
    level: int = 1
    lasting: bool = False


def _power(answer: str, run: Run) -> bool:
    if answer not in {"0", "1", "2", "3"}:
        return False
    run.values["power"] = float(answer)
    return True


def _input(answer: str, run: Run) -> bool:
    if not re.fullmatch("[1-6][1-9A-Z]", answer):
        return False
    run.values["input_type"] = float(answer[0])
    run.facts["input"] = f"{answer} {INPUTS[answer[0]]} {answer[1]}"
    return True


def _mute(answer: str, run: Run) -> bool:
    if not re.fullmatch("[123][01]", answer):
        return False
    muted = answer[1] == "1"
    run.values["video_muted"] = float(muted and answer[0] in "13")
    run.values["audio_muted"] = float(muted and answer[0] in "23")
    return True


def _errors(answer: str, run: Run) -> bool:
    if not re.fullmatch("[012]{6}", answer):
        return False
    run.values.update({f"error:{part}": float(digit) for part, digit in zip(PARTS, answer, strict=True)})
    return True


def _lamps(answer: str, run: Run) -> bool:
    if not re.fullmatch("[0-9]{1,7} [01]( [0-9]{1,7} [01]){0,7}", answer):  # the standard has at most eight lamps
        return False
    words = answer.split(" ")
    for number, (hours, lit) in enumerate(zip(words[::2], words[1::2], strict=True), 1):
        run.values[f"lamp_hours:{number}"] = float(hours)
        run.values[f"lamp_on:{number}"] = float(lit)
    return True


def _frozen(answer: str, run: Run) -> bool:
    if answer not in {"0", "1"}:
        return False
    run.values["frozen"] = float(answer)
    return True


def _resolution(answer: str, run: Run) -> bool:
    if answer == "*":  # there is one, of a size that is not known
        run.values["signal"] = 1.0
        return True
    if answer != "-" and not re.fullmatch("[0-9]{1,6}x[0-9]{1,6}", answer):
        return False
    run.values["signal"] = float(answer != "-")
    run.facts["resolution"] = answer
    return True


def _filter(answer: str, run: Run) -> bool:
    if not re.fullmatch("[0-9]{1,7}", answer):
        return False
    run.values["filter_hours"] = float(answer)
    return True


def _text(name: str) -> Callable[[str, Run], bool]:
    def read(answer: str, run: Run) -> bool:
        if answer:
            run.facts[name] = answer[:128]
        return True

    return read


POWER: Final = Question("POWR", _power)
CLASS: Final = Question("CLSS", _text("class"), lasting=True)
QUESTIONS: Final = (
    Question("ERST", _errors),
    Question("INPT", _input),
    Question("AVMT", _mute),
    Question("LAMP", _lamps),
    Question("NAME", _text("name"), lasting=True),
    Question("INF1", _text("manufacturer"), lasting=True),
    Question("INF2", _text("product"), lasting=True),
    Question("INFO", _text("information"), lasting=True),
    Question("IRES", _resolution, level=2),
    Question("FREZ", _frozen, level=2),
    Question("FILT", _filter, level=2),
    Question("SNUM", _text("serial"), level=2, lasting=True),
    Question("SVER", _text("version"), level=2, lasting=True),
    Question("RLMP", _text("lamp_model"), level=2, lasting=True),
    Question("RFIL", _text("filter_model"), level=2, lasting=True),
)
"""After power and class, the most important first: a slow device may not get to the last."""

"""What hangs on the subject, as messages say it: all by name where they are few, the first ones where they are many."""

import pytest

from sentinel.domain.incident import Incident, Level, State, Telling, Transition, Verdict
from sentinel.domain.notice import Event
from sentinel.domain.rule import Severity
from sentinel.domain.wording import NAMED_DEPENDENTS, Context, message

VERDICT = Verdict(Level.FIRING, Severity.MAJOR, 20.0, 10.0)
INCIDENT = Incident(
    "i1", "down/sw.ping", "down", "sw.ping", "sw", "交换机", {}, Severity.MAJOR, State.OPEN, Telling.TOLD, 10.0, 20.0
)
OPENED = Transition("i1", 1, 20.0, "", "told", Severity.MAJOR, "confirmed", Event.OPENED, verdict=VERDICT)


@pytest.mark.parametrize(("locale", "comma", "more"), [("zh-CN", "、", " 等"), ("en", ", ", " …")])
@pytest.mark.parametrize("surplus", [-1, 0, 1])
def test_named_dependents(locale: str, comma: str, more: str, surplus: int) -> None:
    names = tuple(f"T{n}" for n in range(NAMED_DEPENDENTS + surplus))
    assert locale in {"zh-CN", "en"}
    text = message(INCIDENT, OPENED, Context(dependents=names), "en" if locale == "en" else "zh-CN").text
    expected = comma.join(names[:NAMED_DEPENDENTS]) + (more if surplus > 0 else "")
    line = next(line for line in text.splitlines() if "T0" in line)
    assert line.endswith(expected)
    assert str(len(names)) in line

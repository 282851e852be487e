"""Tapes: a row of results as a word, one letter a result, and what a rule makes of it as a word of the same length.

Results: ``x`` failed, ``.`` good, ``?`` not measured.  Levels: ``o`` ok, ``p`` pending, ``f`` firing, ``?`` unknown.

    judged(rule, "xx.x...") == "pffp..."
"""

from collections.abc import Iterable, Iterator

from sentinel.domain.failure import Failure
from sentinel.domain.incident import Level, Verdict
from sentinel.domain.judge import Window, judge
from sentinel.domain.observation import Observation, Outcome
from sentinel.domain.rule import Predicate, Rule, Selector, Severity

EVERY = 10.0
"""Seconds from one result of a tape to the next; the first starts at 0, and each takes one second."""

_OUTCOMES = {
    "x": (Outcome.FAILED, Failure("connect", "refused", "nobody listens")),
    ".": (Outcome.OK, None),
    "?": (Outcome.UNKNOWN, Failure("prepare", "no_privilege")),
}
_LETTERS = {Level.OK: "o", Level.PENDING: "p", Level.FIRING: "f", Level.UNKNOWN: "?"}


def rule(predicate: Predicate, severity: Severity = Severity.MAJOR) -> Rule:
    """A rule for everything."""
    return Rule("rule", "规则", Selector(), predicate, severity)


def results(tape: str) -> Iterator[Observation]:
    """The observations that a tape stands for."""
    for number, letter in enumerate(tape):
        outcome, failure = _OUTCOMES[letter]
        yield Observation("hall.ping", number * EVERY, number * EVERY, 1.0, "centre", outcome, failure)


def measured(values: Iterable[float | None], name: str = "load") -> Iterator[Observation]:
    """Good observations with a value each; without it where None."""
    for number, value in enumerate(values):
        found = {} if value is None else {name: value}
        yield Observation("hall.snmp", number * EVERY, number * EVERY, 1.0, "centre", Outcome.OK, values=found)


def verdicts(of: Rule, observations: Iterable[Observation], window: Window | None = None) -> list[Verdict]:
    """What the rule says after each."""
    window = window or Window()
    found = [judge(of, window, observation) for observation in observations]
    return [verdict for verdict in found if verdict is not None]


def levels(found: Iterable[Verdict]) -> str:
    """Levels as a word."""
    return "".join(_LETTERS[verdict.level] for verdict in found)


def judged(predicate: Predicate, tape: str, window: Window | None = None) -> str:
    """A tape of results to a tape of levels."""
    return levels(verdicts(rule(predicate), results(tape), window))

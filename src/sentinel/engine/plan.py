"""What the pipeline needs of a configuration, and of the scheduler."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

from sentinel.domain.baseline import CheckBaseline
from sentinel.domain.rule import Rule
from sentinel.domain.target import Check, Target


class Hasten(Protocol):
    """Asks for a run out of turn: ``Scheduler.hasten``."""

    def __call__(self, check: str, delay: float = 0.0) -> None:
        """Run the check ``delay`` seconds from now."""


class Plan(Protocol):
    """What the pipeline needs of a configuration."""

    @property
    def targets(self) -> Mapping[str, Target]:
        """By id."""
        ...

    @property
    def checks(self) -> Mapping[str, Check]:
        """By id."""
        ...

    @property
    def rules(self) -> tuple[Rule, ...]:
        """In the order of the file."""
        ...

    @property
    def baselines(self) -> Mapping[str, CheckBaseline]:
        """What is usual, by check id; a check that nothing was learned of is not there."""
        ...

    @property
    def learned(self) -> Mapping[str, frozenset[str]]:
        """The values that are kept by the hour, by check id; a check that none is kept of is not there."""
        ...

    @property
    def fingerprints(self) -> Mapping[str, str]:
        """A check's or rule's short hash by id: equal means unchanged."""
        ...


class _Nothing:
    targets: Mapping[str, Target] = MappingProxyType({})
    checks: Mapping[str, Check] = MappingProxyType({})
    rules: tuple[Rule, ...] = ()
    baselines: Mapping[str, CheckBaseline] = MappingProxyType({})
    learned: Mapping[str, frozenset[str]] = MappingProxyType({})
    fingerprints: Mapping[str, str] = MappingProxyType({})


NOTHING: Final[Plan] = _Nothing()
"""The plan before the first."""

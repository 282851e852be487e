"""The options of a TCP check: one request and its answer, or a dialogue of several."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints, model_validator

from sentinel.sdk.net import TlsOptions
from sentinel.sdk.patterns import Pattern
from sentinel.sdk.placeholders import Name, names_in, require
from sentinel.sdk.protocol import Options, Value

HexBytes = Annotated[str, StringConstraints(pattern=r"^([0-9A-Fa-f]{2}[ :]?)+$", max_length=8192)]
"""Bytes as hexadecimal digits, two a byte, with a space or a colon between bytes where one likes."""

OWN_VALUES = (
    Value("received_bytes", "B", "Bytes of greeting and answers that were read."),
    Value("certificate_days_left", "d", "Days until the peer's certificate ends; negative where it has."),
    Value("step_seconds", "s", "Duration of each step of a dialogue.", items=True),
)


class Number(Options):
    """A number to take from a line of the answer."""

    matches: Pattern = Field(description="Pattern (RE2) in one line: its first group is the number.")
    unit: str = Field(default="", max_length=20, description="The unit after scaling, for people.")
    description: str = Field(default="", max_length=200, description="What it is, for people.")
    scale: float = Field(default=1.0, description="The number is multiplied by this: 0.1 for tenths.")
    words: dict[str, float] = Field(
        default_factory=dict, max_length=50, description='What words mean: {"ON": 1, "OFF": 0}.'
    )


class Step(Options):
    """Something to say, and what the answer must hold, line by line.

    Each of expect, expect_matches, numbers and facts is looked for in single lines; the step ends with the line in
    which the last of them was found.
    """

    name: str = Field(
        default="",
        pattern=r"^([a-z][a-z0-9_-]{0,39})?$",
        description="The step's name, for step_seconds and for what is told; its number where not given.",
    )
    send: SecretStr | None = Field(
        default=None,
        max_length=8192,
        description='Text to send, as UTF-8; line ends are written out ("Q\\r"), {name} stands for a secret.',
    )
    send_hex: HexBytes | None = Field(default=None, description='Bytes to send, in place of send: "00 01 ff".')
    expect: str | None = Field(
        default=None, min_length=1, max_length=8192, description="Text that a line of the answer must hold."
    )
    expect_hex: HexBytes | None = Field(
        default=None, description="Bytes that the answer must hold, in place of expect; lines mean nothing then."
    )
    expect_matches: Pattern | None = Field(
        default=None, description="Pattern (RE2) that a line of the answer must hold, in place of expect."
    )
    error_matches: Pattern | None = Field(
        default=None, description="Pattern (RE2) of a line that says no: the step fails at once with mismatch."
    )
    numbers: dict[Name, Number] = Field(
        default_factory=dict, max_length=20, description="Value name to a number in the answer, for rules."
    )
    facts: dict[Name, Pattern] = Field(
        default_factory=dict,
        max_length=20,
        description="Name to a pattern (RE2) in a line of the answer: a text that is shown, such as a version.",
    )
    line_end: str | None = Field(
        default=None,
        max_length=20,
        description='What ends a line of this answer, where it is not the check\'s; "" for a prompt without an end.',
    )
    timeout: float | None = Field(
        default=None, gt=0, le=300, description="Seconds for this step; what is left of the check's where not given."
    )

    @model_validator(mode="after")
    def _one_of_each(self) -> Step:
        if self.send is not None and self.send_hex is not None:
            raise ValueError("send and send_hex exclude each other")
        if sum(each is not None for each in (self.expect, self.expect_hex, self.expect_matches)) > 1:
            raise ValueError("expect, expect_hex and expect_matches exclude each other")
        if self.line_end == "" and (self.numbers or self.facts):
            raise ValueError("numbers and facts need a line_end: half an answer could hold half a number")
        if self.expect_hex is not None and (self.numbers or self.facts or self.error_matches):
            raise ValueError("numbers, facts and error_matches are looked for in lines, expect_hex in bytes")
        if self.send is None and self.send_hex is None and not self.listens:
            raise ValueError("a step sends something, or expects something")
        return self

    @property
    def listens(self) -> bool:
        """Whether an answer is awaited."""
        wanted = (self.expect, self.expect_hex, self.expect_matches)
        return any(each is not None for each in wanted) or bool(self.numbers or self.facts)


class TcpOptions(TlsOptions):
    """What to connect to, what to say there and what to hear."""

    port: int = Field(ge=1, le=65_535, description="Port to connect to.")
    banner: Pattern | None = Field(
        default=None,
        description="Pattern (RE2) that the greeting must hold, before anything is sent.",
    )
    send: str | None = Field(
        default=None,
        max_length=8192,
        description='Text to send, as UTF-8; line ends are written out: "PING\\r\\n".',
    )
    send_hex: HexBytes | None = Field(default=None, description='Bytes to send, in place of send: "00 01 ff".')
    expect: str | None = Field(
        default=None, min_length=1, max_length=8192, description="Text that the answer must hold."
    )
    expect_hex: HexBytes | None = Field(
        default=None, description="Bytes that the answer must hold, in place of expect."
    )
    expect_matches: Pattern | None = Field(
        default=None,
        description="Pattern (RE2) that the answer must hold, in place of expect.",
    )
    dialogue: tuple[Step, ...] = Field(
        default=(),
        max_length=50,
        description="Several steps in place of banner, send and expect, over one connection that is closed politely.",
    )
    line_end: str = Field(default="\n", max_length=20, description="What ends a line of a dialogue's answers.")
    secrets: dict[Name, SecretStr] = Field(
        default_factory=dict,
        max_length=20,
        description="Names and passwords for a dialogue, by name: a step writes {password}. They are never shown, "
        "not even where the peer echoes them.",
    )
    max_bytes: int = Field(
        default=4096,
        ge=1,
        le=65_536,
        description="Bytes of the greeting, and of each answer, that are read at most to find what is expected.",
    )

    @model_validator(mode="after")
    def _one_of_each(self) -> TcpOptions:
        if self.send is not None and self.send_hex is not None:
            raise ValueError("send and send_hex exclude each other")
        if sum(option is not None for option in (self.expect, self.expect_hex, self.expect_matches)) > 1:
            raise ValueError("expect, expect_hex and expect_matches exclude each other")
        single = (self.banner, self.send, self.send_hex, self.expect, self.expect_hex, self.expect_matches)
        if self.dialogue and any(each is not None for each in single):
            raise ValueError("with a dialogue, what is sent and expected belongs to its steps")
        return self

    @model_validator(mode="after")
    def _sound_dialogue(self) -> TcpOptions:
        labels = [label for label, _ in self.steps]
        names = [name for step in self.dialogue for name in step.numbers]
        facts = [name for step in self.dialogue for name in step.facts]
        for kind, given in (("steps", labels), ("numbers", names), ("facts", facts)):
            if twice := sorted({name for name in given if given.count(name) > 1}):
                raise ValueError(f"two {kind} are called {twice[0]}")
        if taken := sorted({value.name for value in OWN_VALUES} & set(names)):
            raise ValueError(f"{taken[0]} is measured anyway, and cannot be a number's name")
        for label, step in self.steps:
            if step.send is not None:
                require(names_in(step.send.get_secret_value()), self.secrets, f"step {label}")
            if not (self.line_end if step.line_end is None else step.line_end) and (step.numbers or step.facts):
                raise ValueError("numbers and facts need a line_end: half an answer could hold half a number")
        return self

    @property
    def steps(self) -> Iterator[tuple[str, Step]]:
        """The dialogue's steps, each with what it is called."""
        return ((step.name or str(number), step) for number, step in enumerate(self.dialogue, 1))

    @property
    def request(self) -> bytes:
        """What is sent; empty where nothing is."""
        return (self.send or "").encode() or hex_bytes(self.send_hex or "")

    @property
    def awaited(self) -> bytes | Pattern | None:
        """What the answer must hold; None where none is awaited."""
        return self.expect_matches or (self.expect or "").encode() or hex_bytes(self.expect_hex or "") or None


def values_of(options: TcpOptions) -> tuple[Value, ...]:
    """The numbers that a dialogue takes from its answers."""
    return tuple(
        Value(name, number.unit, number.description or f"Number in the answer to step {label}.")
        for label, step in options.steps
        for name, number in step.numbers.items()
    )


def hex_bytes(digits: str) -> bytes:
    """The bytes that ``HexBytes`` stands for."""
    return bytes.fromhex(digits.replace(":", " "))

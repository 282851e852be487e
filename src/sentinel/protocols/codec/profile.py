"""Profiles of conference endpoints and MCUs: what they are asked, and what of the answers is a value.

``probes/profiles/<name>.yaml`` with ``protocol: codec``; a check takes one with ``profile: <name>``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from sentinel.protocols.codec.paths import Path as TreePath
from sentinel.protocols.codec.paths import Relative
from sentinel.sdk import profiles
from sentinel.sdk.patterns import Pattern
from sentinel.sdk.protocol import Value

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
"""snake_case; a value's ends in its unit: the metric is ``sentinel_codec_<name>``."""

Word = Annotated[str, StringConstraints(max_length=200)]
Command = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]

Format = Literal["xstatus", "text", "xml", "json"]

ID = "{}"
"""In a path: where the id goes that ``each`` finds."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Shell(_Model):
    """How one talks to a device's shell."""

    pty: bool = Field(False, description="Ask for a terminal: devices that have none echo nothing.")
    ready: Pattern | None = Field(None, description="RE2: a line that says that the greeting is over.")
    prompt: Pattern | None = Field(None, description="RE2: what stands at the end of the output while it waits.")
    end: Pattern | None = Field(None, description="RE2: a line that ends an answer.")
    error: Pattern | None = Field(None, description="RE2: a line that says that a command is not known.")
    setup: tuple[Command, ...] = Field((), max_length=8, description="Commands first: no echo, no pages.")
    line_end: Literal["\n", "\r\n", "\r"] = Field("\n", description="What ends a command.")
    settle: float = Field(
        0.15, ge=0.02, le=2, description="Seconds of silence after which nothing more belongs to an answer."
    )

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.end is None and self.prompt is None:
            raise ValueError("give end, prompt, or both: an answer would never end")
        return self


class Each(_Model):
    """Ask once for each of several ids."""

    ask: Name = Field(description="The answer that names them.")
    path: TreePath = Field(description="Where they stand in it.")
    limit: int = Field(50, ge=1, le=200, description="How many are asked for at most.")


class Ask(_Model):
    """One command or one page."""

    command: Command | None = Field(None, description="ssh: the command.")
    path: str | None = Field(
        None, pattern=r"^/[^\s#\\]*$", max_length=500, description="http: path and query; {} is an id of `each`."
    )
    end: Pattern | None = Field(None, description="ssh: a line that ends this answer, beside the shell's own.")
    each: Each | None = Field(None, description="http: ask for each id that another answer names.")
    optional: bool = Field(False, description="A device that does not know it is none the worse for it.")

    @property
    def name(self) -> str:
        """What is sent, for people."""
        return self.command or self.path or ""


class Place(_Model):
    """Where in an answer something stands."""

    ask: Name | None = Field(None, description="The answer; xstatus lines are looked for in all of them.")
    path: TreePath | None = Field(None, description="xstatus, xml, json: the place in the tree.")
    pattern: Pattern | None = Field(None, description="text: RE2 in a line; its first group, else all, is what counts.")
    where: dict[Relative, tuple[Word, ...]] = Field(
        default_factory=dict, max_length=8, description="path: only items with one of these texts there."
    )
    optional: bool = Field(False, description="Its absence is no failure.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.path is None) == (self.pattern is None):
            raise ValueError("give one of path and pattern")
        if self.where and self.path is None:
            raise ValueError("where is for a path")
        return self


class Reading(Place):
    """A number."""

    unit: str = Field("", max_length=16, description="Its unit, after the factor.")
    description: str = Field("", max_length=200, description="One sentence for people.")
    items: bool = Field(False, description="A value for each place that is found, not one for all.")
    label: tuple[Relative, ...] = Field(
        (), max_length=6, description="items, path: texts that name one, from the item; else its keys."
    )
    label_pattern: Pattern | None = Field(None, description="items, pattern: RE2 in the line that names one.")
    labels: dict[Word, Word] = Field(default_factory=dict, max_length=64, description="Other words for a label's.")
    reduce: Literal["first", "max", "min", "sum", "count"] = Field(
        "first", description="One number of several; count is how many there are."
    )
    words: dict[Word, float] = Field(default_factory=dict, max_length=64, description="The number of each word.")
    otherwise: float | None = Field(None, description="words: the number of any other.")
    ignore: tuple[Word, ...] = Field((), max_length=32, description="Words with which the device says: nothing here.")
    factor: float = Field(1.0, description="From the device's unit to the value's.")
    divided_by: tuple[Relative, ...] = Field(
        (), max_length=4, description="path: numbers beside it, from the item, whose sum it is divided by."
    )
    absent: float | None = Field(None, description="The number where the answer has no such place.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        wrong = {
            "label is for items with a path": self.label and not (self.items and self.path),
            "label_pattern is for items with a pattern": self.label_pattern and not (self.items and self.pattern),
            "labels are for items": self.labels and not self.items,
            "reduce is for one value, not for items": self.items and self.reduce != "first",
            "absent is for one value, not for items": self.items and self.absent is not None,
            "divided_by is for a path": self.divided_by and self.path is None,
            "otherwise is for words": self.otherwise is not None and not self.words,
        }
        for text, is_so in wrong.items():
            if is_so:
                raise ValueError(text)
        return self

    def value(self, name: str) -> Value:
        """Its declaration."""
        return Value(name, self.unit, self.description or f"What the device says of {name}.", self.items)


class Profile(_Model):
    """A profile's file."""

    protocol: Literal["codec"] = Field(description="Always codec: other protocols have their profiles beside it.")
    description: str = Field(max_length=200, description="What device it reads, for people.")
    transport: Literal["ssh", "http"] = Field(description="How the device is asked.")
    format: Format = Field(description="xstatus and text over ssh; xml, json and text over http.")
    shell: Shell | None = Field(None, description="ssh: how its shell talks.")
    asks: dict[Name, Ask] = Field(min_length=1, max_length=24, description="Commands or pages, in this order.")
    values: dict[Name, Reading] = Field(min_length=1, max_length=64, description="What is measured.")
    facts: dict[Name, Place] = Field(default_factory=dict, max_length=32, description="Texts that are shown.")

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        over_ssh = self.transport == "ssh"
        if self.format not in (("xstatus", "text") if over_ssh else ("xml", "json", "text")):
            raise ValueError(f"format {self.format} does not come over {self.transport}")
        if over_ssh != (self.shell is not None):
            raise ValueError("shell is for ssh, which needs it")
        self._asks_fit(over_ssh=over_ssh)
        for name, place in (*self.values.items(), *self.facts.items()):
            if place.ask is not None and place.ask not in self.asks:
                raise ValueError(f"{name}: there is no ask {place.ask!r}")
            if place.ask is None and self.format != "xstatus" and len(self.asks) > 1:
                raise ValueError(f"{name}: say in which ask's answer it stands")
            if (place.pattern is not None) != (self.format == "text"):
                raise ValueError(
                    f"{name}: {'a pattern' if self.format == 'text' else 'a path'} finds it in {self.format}"
                )
        return self

    def _asks_fit(self, *, over_ssh: bool) -> None:
        earlier: list[str] = []
        for name, ask in self.asks.items():
            if (ask.command is not None) != over_ssh or (ask.path is not None) == over_ssh:
                raise ValueError(f"asks.{name}: a {'command' if over_ssh else 'path'} is asked over {self.transport}")
            if ask.end is not None and not over_ssh:
                raise ValueError(f"asks.{name}: end is for ssh")
            if (ask.each is not None) != (ID in (ask.path or "")):
                raise ValueError(f"asks.{name}: each and {ID} in the path go together")
            if ask.each is not None and (ask.each.ask not in earlier or self.format == "text"):
                raise ValueError(f"asks.{name}: each needs an earlier ask's xml or json")
            earlier.append(name)

    def declared(self) -> tuple[Value, ...]:
        """Every value that it may measure."""
        return tuple(reading.value(name) for name, reading in self.values.items())


def load(name: str, folders: Sequence[Path]) -> Profile:
    """The profile of that name.

    Raises:
        ValueError: there is none, or its file is wrong; the text says what and where.
    """
    return profiles.load(name, folders, Profile, "codec", "codec")


def parse(content: str) -> Profile:
    """A profile's YAML.

    Raises:
        ValueError: it is wrong; the text says what and where.
    """
    return profiles.parse(content, Profile)

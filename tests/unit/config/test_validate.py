"""Pydantic's errors in an operator's words, at the place where it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Discriminator, Field, Tag

from sentinel.config import ConfigRefused
from sentinel.config.document import parse
from sentinel.config.problems import Problems, did_you_mean
from sentinel.config.validate import salvage
from tests.unit.config.conftest import Estate


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Cat(Strict):
    purrs: bool = True


class Dog(Strict):
    barks: bool = True


def _even(number: int) -> int:
    if number % 2:
        raise ValueError("an even number is expected")
    return number


class Entry(Strict):
    whole: int = 0
    low: Annotated[int, Field(ge=1, le=5)] = 1
    open_low: Annotated[float, Field(gt=1, lt=5)] = 2
    flag: bool = False
    text: Annotated[str, Field(min_length=2, max_length=4)] = "abc"
    slug: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] = "a"
    digits: Annotated[str, Field(pattern=r"^[0-9]+$")] = "1"
    listed: Annotated[list[int], Field(min_length=1, max_length=2)] = [1]
    mapped: dict[str, int] = {}
    choice: Literal["alpha", "beta"] = "alpha"
    time: AwareDatetime | None = None
    even: Annotated[int, AfterValidator(_even)] = 0
    either: int | list[int] = 0
    pet: Annotated[
        Annotated[Cat, Tag("cat")] | Annotated[Dog, Tag("dog")],
        Discriminator(lambda value: "dog" if isinstance(value, dict) and "woofs" in value else "cat"),
    ] = Cat()


class File(Strict):
    entries: list[Entry] = []
    named: dict[Annotated[str, Field(pattern=r"^[a-z]+$")], Entry] = {}
    inner: Entry = Entry()


def told(text: str) -> list[str]:
    problems = Problems()
    salvage(File, parse(text.encode(), "f"), problems)
    return [str(problem) for problem in problems.errors]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("whole: many", "f:2:12: a whole number is expected"),
        ("whole: 1.5", "f:2:12: a whole number is expected"),
        ("low: 0", "f:2:10: must be at least 1"),
        ("low: 6", "f:2:10: must be at most 5"),
        ("open_low: 1", "f:2:15: must be more than 1.0"),
        ("open_low: 5", "f:2:15: must be less than 5.0"),
        ("open_low: x", "f:2:15: a number is expected"),
        ("flag: perhaps", "f:2:11: `true` or `false` is expected"),
        ("text: 12", "f:2:11: text is expected (a number or true/false as text needs quotes)"),
        ("text: a", "f:2:11: must have at least 2 characters"),
        ("text: abcde", "f:2:11: must have at most 4 characters"),
        (
            "slug: A_b",
            "f:2:11: an id has small letters, digits and hyphens only, at most 63, and begins with no hyphen",
        ),
        ("digits: x", "f:2:13: does not match ^[0-9]+$"),
        ("listed: []", "f:2:13: must have at least 1 entries"),
        ("listed: [1, 2, 3]", "f:2:13: must have at most 2 entries"),
        ("listed: [1, x]", "f:2:17: a whole number is expected"),
        ("listed: 1", "f:2:13: a list is expected"),
        ("mapped: []", "f:2:13: a mapping (`key: value`) is expected"),
        ("mapped: {a: x}", "f:2:17: a whole number is expected"),
        ("choice: alpa", "f:2:13: must be one of `alpha`, `beta`; did you mean `alpha`?"),
        ("choice: zz", "f:2:13: must be one of `alpha`, `beta`"),
        ("time: soon", "f:2:11: a time is written as `2026-12-01T09:00:00+08:00`"),
        ("time: 2026-12-01T09:00:00", "f:2:11: the time needs its offset from UTC, as in `2026-12-01T09:00:00+08:00`"),
        ("even: 3", "f:2:11: an even number is expected"),
        ("even: x", "f:2:11: a whole number is expected"),
        ("pet: {woofs: true}", "f:2:11: unknown key `woofs`; known: barks, purrs"),
        ("pet: {pur: true}", "f:2:11: unknown key `pur`; did you mean `purrs`?"),
    ],
)
def test_in_words_and_at_its_place(entry: str, message: str) -> None:
    assert told(f"entries:\n  - {entry}\n") == [message]


def test_a_union_of_plain_types_is_told_at_its_value() -> None:
    assert told("inner: {either: x}") == ["f:1:17: a list is expected", "f:1:17: a whole number is expected"]


def test_a_key_that_is_no_name() -> None:
    assert told("named:\n  A1: {low: 1}\n") == ["f:2:3: does not match ^[a-z]+$"]


def test_a_file_that_is_no_mapping() -> None:
    assert told("- a\n") == ["f:1:1: a mapping (`key: value`) is expected"]
    assert told("just text\n") == ["f:1:1: a mapping (`key: value`) is expected"]


def test_what_is_broken_is_cut_out_and_the_rest_is_kept() -> None:
    text = "entries:\n  - {low: 1}\n  - {low: 9}\n  - {low: 3, lo: 1}\nnamed: {a: {low: 7}, b: {low: 2}}\nextra: 1\n"
    problems = Problems()
    file, node, removed = salvage(File, parse(text.encode(), "f"), problems)
    assert file is not None
    assert [entry.low for entry in file.entries] == [1, 3]
    assert {name: entry.low for name, entry in file.named.items()} == {"b": 2}
    assert {"a", "extra", "lo"} <= removed
    assert len(problems.errors) == 4
    # The tree that is left has the same indices as the model, and every node stands where it stood.
    assert str(node.at("entries", 1, "low").position) == "f:4:11"
    assert node.at("entries", 1).spoilt
    assert not node.at("entries", 0).spoilt


def test_what_is_broken_outside_of_any_entry_leaves_nothing() -> None:
    problems = Problems()
    assert salvage(File, parse(b"inner: {low: 9}\n", "f"), problems)[0] is None
    assert len(problems.errors) == 1


def test_words_that_are_near() -> None:
    assert did_you_mean("intenal", ["internal", "external"]) == "; did you mean `internal`?"
    assert did_you_mean("zzz", ["a", "b"]) == "; known: a, b"
    assert did_you_mean("zzz", []) == ""
    assert did_you_mean("zzz", map(str, range(100))) == ""


def test_probes_of_one_name_in_two_files(estate: Estate) -> None:
    other = estate.probes / "more.yaml"
    other.write_text("probes:\n  ssh: {protocol: tcp, options: {port: 2222}}\n", encoding="utf-8")
    with pytest.raises(ConfigRefused) as refused:
        estate.load()
    first = f"{estate.probes / 'all.yaml'}:4:3"
    assert str(refused.value) == f"{other}:2:3: the probe `ssh` is here twice: first in {first}"


def test_a_file_of_probes_that_is_none(estate: Estate) -> None:
    (estate.probes / "more.yaml").write_text("- ssh\n", encoding="utf-8")
    with pytest.raises(ConfigRefused, match=r"more\.yaml:1:1: a mapping \(`key: value`\) is expected"):
        estate.load()


def test_a_check_of_a_broken_probe_is_no_second_error(estate: Estate) -> None:
    estate.change("probes", "port: {protocol: tcp}", "port: {protocol: tcp, options: {mode: x}}")
    with pytest.raises(ConfigRefused) as refused:
        estate.load()
    assert len(refused.value.problems) == 1


def test_an_error_of_the_whole_options_stands_at_the_check(estate: Estate) -> None:
    estate.change(
        "inventory", "interval: 10s, options: {port: 3389}", "interval: 10s, options: {port: 3389, password: bad}"
    )
    with pytest.raises(ConfigRefused) as refused:
        estate.load()
    (problem,) = refused.value.problems
    assert (Path(problem.file).name, problem.line, problem.column) == ("inventory.yaml", 17, 7)


def test_a_conference_twice(estate: Estate) -> None:
    times = "start: 2026-12-01T09:00:00+08:00, end: 2026-12-01T10:00:00+08:00"
    entry = f"  - {{id: a, name: a, venues: [centre], {times}}}\n"
    estate.write("conferences", "conferences:\n" + entry * 2)
    with pytest.raises(ConfigRefused, match=r"conferences\.yaml:3:10: the conference `a` is here twice"):
        estate.load()
    estate.write("conferences", "conferences:\n" + entry.replace("2026-12-01T09:00:00+08:00", "20261201"))
    with pytest.raises(ConfigRefused, match=r"3.*a time is written as|2:.*a time is written as"):
        estate.load()


def test_no_probes_at_all(estate: Estate) -> None:
    (estate.probes / "all.yaml").unlink()
    with pytest.raises(ConfigRefused, match=r"there are no probes here"):
        estate.load()


def test_places_whose_numbers_are_not_understood(estate: Estate) -> None:
    estate.change("inventory", "{id: centre, name: 指挥中心}", '{id: centre, name: "{m}"}')
    with pytest.raises(ConfigRefused, match=r"`\{m\}` is not understood here"):
        estate.load()

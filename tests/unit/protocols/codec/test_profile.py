"""Profiles that cannot work are refused with what and where; options fit their profile."""

import textwrap
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sentinel.protocols.codec.options import CodecOptions, values_of
from sentinel.protocols.codec.profile import load, parse
from sentinel.protocols.codec.readings import Said, take
from sentinel.protocols.codec.tree import from_json
from sentinel.sdk.profiles import shipped
from sentinel.sdk.protocol import Run

SHIPPED = ["codec-cisco-http", "codec-cisco-ssh", "codec-poly-ssh", "mcu-cms", "mcu-pexip"]

GOOD = """
protocol: codec
description: x
transport: http
format: json
asks:
  all: {path: /all}
values:
  n: {ask: all, path: 'a[*]/n'}
"""


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_profile_is_good_and_its_values_are_described(name: str) -> None:
    profile = load(name, [shipped()])
    for value in profile.declared():
        assert value.description.endswith("."), value.name
        assert value.name.endswith("_ratio") or value.unit in ("", "s"), value.name
        assert value.unit != "s" or value.name.endswith("_seconds")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("format: json", "format: xstatus", "does not come over http"),
        ("transport: http", "transport: ssh", "does not come over ssh"),
        ("{path: /all}", "{command: x}", "asks.all: a path is asked over http"),
        ("{path: /all}", "{path: '/all/{}'}", "each and {} in the path go together"),
        ("ask: all", "ask: other", "there is no ask 'other'"),
        ("path: 'a[*]/n'", "path: 'a[*'", "no step of a path"),
        ("path: 'a[*]/n'", "pattern: x", "a path finds it in json"),
        ("path: 'a[*]/n'", "path: a, pattern: x", "one of path and pattern"),
        ("path: 'a[*]/n'", "path: a, items: true, reduce: max", "reduce is for one value"),
        ("path: 'a[*]/n'", "path: a, label: [b]", "label is for items"),
        ("path: 'a[*]/n'", "path: a, otherwise: 1", "otherwise is for words"),
        ("path: 'a[*]/n'", "path: a, colour: red", "values.n.colour"),
        ("protocol: codec", "protocol: snmp", "protocol"),
        ("values:", "values: [", "line"),
    ],
)
def test_a_profile_that_cannot_work_says_where(old: str, new: str, says: str, tmp_path: Path) -> None:
    parse(GOOD)
    assert GOOD.count(old) >= 1
    (tmp_path / "mine.yaml").write_text(GOOD.replace(old, new, 1), "utf-8")
    with pytest.raises(ValueError, match=r"mine\.yaml: ") as refused:
        load("mine", [tmp_path])
    assert says in str(refused.value)


def test_a_shell_that_never_ends_an_answer_is_refused() -> None:
    ssh = GOOD.replace("http", "ssh").replace("json", "xstatus").replace("{path: /all}", "{command: x}")
    with pytest.raises(ValueError, match="needs it"):
        parse(ssh)
    with pytest.raises(ValueError, match="never end"):
        parse(ssh + "shell: {pty: true}\n")
    parse(ssh + "shell: {end: '^OK$'}\n")


SSH = {"profile": "codec-cisco-ssh", "username": "u", "password": "p", "host_key": "any"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({**SSH, "profile": "nothing"}, "no codec profile 'nothing'; there are: codec-cisco-http, codec-cisco-ssh"),
        ({**SSH, "username": None}, "username is missing"),
        ({**SSH, "host_key": None}, "host_key is missing"),
        ({**SSH, "password": None}, "password or private_key is missing"),
        ({**SSH, "participants": 3}, "measures no participants_connected"),
        ({**SSH, "items": {"calls": "x"}}, "no items of calls"),
        ({**SSH, "without": ["camera"]}, "measures no camera"),
        ({**SSH, "without": ["camera_connected"], "cameras": 1}, "measures no camera_connected"),
        ({"profile": "mcu-cms", "username": "u"}, "password is missing"),
        ({**SSH, "profile": "mcu-cms"}, "are for profiles over SSH"),
        ({"profile": "codec-poly"}, "protocol"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        CodecOptions.model_validate(options)
    assert says in str(refused.value)


def test_ports_and_values() -> None:
    options = CodecOptions.model_validate({**SSH, "without": ["standby"]})
    assert (options.at_port, options.wants_tls, options.at("192.0.2.1").port) == (22, False, 22)
    assert "standby" not in {value.name for value in values_of(options)}
    plain = CodecOptions.model_validate({"profile": "mcu-pexip", "scheme": "http"})
    assert (plain.at_port, plain.wants_tls) == (80, False)


READINGS = """
protocol: codec
description: x
transport: http
format: json
asks:
  all: {path: /all}
values:
  most: {path: 'a[*]/n', reduce: max}
  least: {path: 'a[*]/n', reduce: min}
  whole: {path: 'a[*]/n', reduce: sum, factor: 0.5}
  many: {path: 'a[*]/n', reduce: count, where: {t: [x]}}
  none: {path: 'b[*]/n', absent: 4}
  each: {path: 'a[*]/n', items: true, label: [t], labels: {y: Y}}
  state: {path: s, words: {good: 1, bad: 0}}
  silent: {path: s, words: {well: 1}, ignore: [good]}
  odd: {path: s}
  gone: {path: nowhere, optional: true}
  lacking: {path: nowhere}
facts:
  t: {path: 'a[*]/t'}
"""
DOCUMENT = b'{"a": [{"n": 2, "t": "x"}, {"n": "3.5", "t": "y"}, {"n": 1, "t": "x"}], "s": "good"}'


def test_readings() -> None:
    run = Run(0.0)
    said = Said({"all": from_json(DOCUMENT)})
    assert take(parse(textwrap.dedent(READINGS)), said, run, only={}) == ["odd", "lacking"]
    assert run.values == {
        "most": 3.5,
        "least": 1,
        "whole": 3.25,
        "many": 2,
        "none": 4,
        "each:x": 2,
        "each:Y": 3.5,
        "each:x 2": 1,
        "state": 1,
    }
    assert run.facts == {"unreadable": "odd: good", "state": "good", "t": "x; y"}

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sentinel.protocols.snmp import PROTOCOL
from sentinel.protocols.snmp.options import SnmpOptions
from sentinel.protocols.snmp.profile import load, shipped

UPTIME = "1.3.6.1.2.1.1.3.0"
USER = {"version": "v3", "user": "u", "profile": "system"}


@pytest.mark.parametrize("path", sorted(shipped().glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_profile_is_sound(path: Path) -> None:
    if "\nprotocol: snmp\n" not in f"\n{path.read_text('utf-8')}":
        pytest.skip("another protocol's")
    profile = load(path.stem, [shipped()])
    assert all(value.description for value in profile.values())
    assert PROTOCOL.declared(SnmpOptions(profile=path.stem))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "give get, profile, or both"),
        ({"profile": "systm"}, "no SNMP profile 'systm'; there are: av-control-host, "),
        ({"profile": "../system"}, "String should match pattern"),
        ({"get": {"a": "1.3.6"}, "version": "v3"}, "v3 needs a user"),
        ({"get": {"a": "1.3.6"}, "user": "u"}, "are for version: v3"),
        ({**USER, "auth": "sha"}, "auth and auth_password go together"),
        ({**USER, "auth": "sha", "auth_password": "short"}, "at least 8"),
        ({**USER, "privacy": "aes128", "privacy_password": "password1"}, "privacy needs auth"),
        ({**USER, "auth": "sha", "auth_password": "password1", "privacy": "des"}, "go together"),
        ({"get": {"a": "not an oid"}}, "should match pattern"),
        ({"get": {"rows": "1.3.6"}}, "a name stands twice"),
        ({"get": {"uptime_seconds": UPTIME}, "profile": "system"}, "a name stands twice"),
        ({"get": {"a": {"oid": UPTIME, "expect": {}}}}, "give one of equals and matches"),
        ({"get": {"a": {"oid": UPTIME, "expect": {"matches": "(?<=x)"}}}}, "RE2"),
        ({"get": {"a": {"oid": UPTIME, "type": "text", "divided_by": UPTIME}}}, "divided_by is for a gauge"),
        ({"get": {"a": {"oid": UPTIME, "ok": [1]}}}, "ok is for an enum"),
    ],
)
def test_what_can_not_work_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said.replace("(", r"\(")) as error:
        SnmpOptions.model_validate(options)
    assert "password1" not in str(error.value) or "privacy needs auth" in said or "together" in said


def test_every_option_has_a_description() -> None:
    assert [name for name, field in SnmpOptions.model_fields.items() if not field.description] == []


def test_the_values_are_declared() -> None:
    options = SnmpOptions.model_validate(
        {"get": {"a": UPTIME, "b": {"oid": UPTIME, "type": "text"}}, "profile": "interfaces"}
    )
    declared = {value.name: value for value in PROTOCOL.declared(options)}
    assert declared["a"].items is False
    assert "b" not in declared
    assert declared["if_in_bits_per_second"].items
    assert declared["if_in_bits_per_second"].unit == "bit/s"


def test_profiles_come_from_the_context_first_match_wins(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    for folder, name in ((own, "mine"), (other, "theirs")):
        folder.mkdir()
        (folder / "probe.yaml").write_text(
            f"protocol: snmp\ndescription: x\nscalars: {{{name}: {{oid: {UPTIME}}}}}\n", "utf-8"
        )
    for given, name in (([own, other], "mine"), (other, "theirs"), ((other, own), "theirs")):
        options = SnmpOptions.model_validate({"profile": "probe"}, context={"profiles": given})
        assert list(options.plan.scalars) == [name]


def test_equal_options_are_equal_and_a_changed_profile_makes_them_differ(tmp_path: Path) -> None:
    path = tmp_path / "probe.yaml"

    def options(name: str) -> SnmpOptions:
        path.write_text(f"protocol: snmp\ndescription: x\nscalars: {{{name}: {{oid: {UPTIME}}}}}\n", "utf-8")
        return SnmpOptions.model_validate({"profile": "probe"}, context={"profiles": tmp_path})

    before = options("one")
    assert before == options("one")
    assert before != options("other")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("scalars: {}", "protocol: Field required"),
        ("protocol: snmp\ndescription: x", "a profile reads something"),
        ("protocol: snmp\ndescription: x\nscalars: {a: {oid: 1.3.6.1}, a: {oid: 1.3.6.2}}", "found duplicate key"),
        (
            "protocol: snmp\ndescription: &d x\nscalars: {a: {oid: 1.3.6.1, description: *d}}",
            "line 3: aliases are refused",
        ),
        ("protocol: snmp\ndescription: x\nscalars: " + "[" * 5000, "deeper than 12 levels"),
        ("protocol: snmp\ndescription: x\nscalars: {a: {oid: 1.3.6.1, colour: red}}", "Extra inputs are not permitted"),
        ("protocol: snmp\ndescription: x\nscalars: {A: {oid: 1.3.6.1}}", "should match pattern"),
        ("protocol: snmp\ndescription: !!python/object:os.system x", "could not determine a constructor"),
        (
            "protocol: snmp\ndescription: x\ntables: {t: {columns: {a: {oid: 1.3.6.1, type: text}}}}",
            "a column can't be a text",
        ),
        (
            "protocol: snmp\ndescription: x\nscalars: {a: {oid: 1.3.6.1}}\ntables: {t: {columns: {a: {oid: 1.3.6.1}}}}",
            "a name stands twice",
        ),
        ("x" * 300_000, "more than 262144 bytes"),
    ],
)
def test_a_wrong_profile_says_where(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "bad.yaml").write_text(content, "utf-8")
    with pytest.raises(ValueError, match=said) as error:
        load("bad", [tmp_path])
    assert "bad.yaml" in str(error.value)


def test_secrets_do_not_show() -> None:
    options = SnmpOptions.model_validate({**USER, "auth": "sha", "auth_password": "password1"})
    who = options.credentials(lambda _algorithm, _password: b"master-key-1234")
    assert "password1" not in repr(options)
    assert "master" not in repr(who).replace("auth_master", "")

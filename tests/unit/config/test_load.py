"""Rules, channels, conferences and settings become what the daemon works with."""

from __future__ import annotations

from pathlib import Path

import pytest

from sentinel.config import Change, ConfigRefused, Limits, Retention, compare
from sentinel.config.settings import Directories, split
from sentinel.domain.conference import Conference
from sentinel.domain.rule import (
    Availability,
    ConferenceRate,
    Down,
    RetrievalLimit,
    Selector,
    Severity,
    Threshold,
)
from tests.unit.config.conftest import Estate

RULES = """
rules:
  - id: down
    name: 故障
    severity: major
    retry_interval: 1500ms
    select: {kind: terminal, zone: [internal, "ext*"], labels: {maker: "h*"}}
    down: {failures: 3, of: 5, recover: 2}
  - {id: slow, name: 慢, severity: info, threshold: {value: took, above: 500ms, clear: 0.4, failures: 2, of: 3}}
  - id: certificate
    name: 证书
    severity: warning
    select: {protocol: tcp}
    threshold: {value: certificate_days_left, below: 30, severity_at: [{limit: 7, severity: critical}]}
  - {id: picture, name: 调取, severity: critical, contractual: true, retrieval: {warnings: [{at: 50%, severity: info}]}}
  - {id: up, name: 可用率, severity: info, availability: {at_least: 99.9%, window: 7d}}
  - {id: rate, name: 事故率, severity: critical, conference_rate: {}}
"""


def test_rules_are_the_domains(estate: Estate) -> None:
    estate.write("sla", RULES)
    down, slow, certificate, picture, up, rate = estate.load().rules
    assert down.predicate == Down(3, 5, 2)
    assert down.selector == Selector(kind=("terminal",), zone=("internal", "ext*"), labels={"maker": "h*"})
    assert (down.retry_interval, down.severity, down.contractual) == (1.5, Severity.MAJOR, False)
    assert slow.predicate == Threshold("took", above=0.5, clear=0.4, failures=2, of=3)
    assert slow.retry_interval == 5.0
    assert certificate.predicate == Threshold(
        "certificate_days_left", below=30.0, severity_at=((7.0, Severity.CRITICAL),)
    )
    assert picture.predicate == RetrievalLimit(300.0, ((0.5, Severity.INFO),))
    assert picture.contractual
    assert up.predicate == Availability(0.999, 604_800.0)
    assert rate.predicate == ConferenceRate(0.05, 60.0)


def test_the_models_defaults_are_the_domains(estate: Estate) -> None:
    estate.write(
        "sla",
        "rules:\n"
        "  - {id: a, name: a, severity: info, down: {}}\n"
        "  - {id: b, name: b, severity: info, retrieval: {}}\n"
        "  - {id: c, name: c, severity: info, threshold: {value: took, above: 1}}\n"
        "  - {id: d, name: d, severity: info, availability: {at_least: 99%}}\n"
        "  - {id: e, name: e, severity: info, conference_rate: {}}\n",
    )
    predicates = [rule.predicate for rule in estate.load().rules]
    assert predicates == [Down(), RetrievalLimit(), Threshold("took", above=1.0), Availability(0.99), ConferenceRate()]


def test_a_selector_that_selects_nothing_is_a_warning(estate: Estate) -> None:
    estate.write("sla", "rules:\n  - {id: a, name: a, severity: info, select: {kind: ghost}, down: {}}\n")
    estate.change("alerting", "[duty]}", "[], match: {target: nobody-*}}")
    told = [(Path(each.file).name, each.line, each.column, each.message) for each in estate.load().warnings]
    assert told == [
        ("alerting.yaml", 2, 3, "no route leads to the channel `duty`"),
        ("alerting.yaml", 4, 5, "the route matches no check"),
        ("sla.yaml", 2, 46, "the rule `a` selects no check"),
    ]


def test_a_value_that_only_some_selected_checks_measure_is_enough(estate: Estate) -> None:
    estate.write("sla", "rules:\n  - {id: a, name: a, severity: info, threshold: {value: loss_ratio, above: 5%}}\n")
    assert estate.load().rules[0].predicate == Threshold("loss_ratio", above=0.05)


def test_channels_and_routes(estate: Estate) -> None:
    estate.write(
        "alerting",
        """
channels:
  duty: {type: hook, options: {url: "https://198.51.100.1/x", headers: {X-Key: geheim}}}
  leaders: {type: hook, public: true, options: {url: "https://198.51.100.2/"}}
routes:
  - {match: {venue: centre}, severities: [critical], channels: [leaders], continue: true}
  - {channels: [duty]}
""",
    )
    found = estate.load()
    assert (found.channels["duty"].type, found.channels["duty"].public) == ("hook", False)
    assert found.channels["leaders"].public
    assert "geheim" not in repr(found.channels)
    first, second = found.routes
    assert (first.selector, first.severities) == (Selector(venue=("centre",)), frozenset({Severity.CRITICAL}))
    assert (first.channels, first.proceed) == (("leaders",), True)
    assert (second.severities, second.proceed) == (frozenset(Severity), False)


def test_conferences_are_utc_inside_and_in_their_order(estate: Estate) -> None:
    estate.write(
        "conferences",
        """
conferences:
  - {id: b, name: 乙, venues: [centre], start: 2026-12-02T09:00:00+08:00, end: 2026-12-02T10:00:00+08:00}
  - {id: a, name: 甲, venues: [centre], start: 2026-12-01T01:00:00Z, end: "2026-12-01T02:00:00Z"}
""",
    )
    assert estate.load().conferences == (
        Conference("a", "甲", ("centre",), 1_796_086_800.0, 1_796_090_400.0),
        Conference("b", "乙", ("centre",), 1_796_173_200.0, 1_796_176_800.0),
    )


def test_settings(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/state")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/runtime")
    estate.write(
        "sentinel",
        """
listen: "[::]:9000"
tls: {cert: tls.crt, key: /etc/tls.key}
token: 0123456789abcdef0
locale: en
limits: {host: 2, zones: {external: 7}, protocols: {video: 3}}
retention: {hours: 365d}
""",
    )
    found = estate.load().daemon
    assert (found.host, found.port, found.locale) == ("::", 9000, "en")
    assert (found.tls_cert, found.tls_key) == (estate.config / "tls.crt", Path("/etc/tls.key"))
    assert found.token is not None
    assert found.token.get_secret_value() == "0123456789abcdef0"
    assert found.external_url == "https://[::]:9000"
    assert (found.store, found.socket) == (Path("/state/sentinel.db"), Path("/runtime/sentinel.sock"))
    assert found.limits == Limits(host=2, zones={"external": 7}, protocols={"video": 3})
    assert (found.limits.of_zone("external"), found.limits.of_zone("internal")) == (7, 512)
    assert (found.limits.of_protocol("video"), found.limits.of_protocol("tcp")) == (3, 512)
    assert found.retention == Retention(14 * 86_400, 365 * 86_400)
    assert not found.site_protocols


def test_an_empty_file_of_settings_is_all_defaults(estate: Estate) -> None:
    estate.write("sentinel", "")
    found = estate.load().daemon
    assert (found.host, found.port, found.locale, found.vantage) == ("127.0.0.1", 8640, "zh-CN", "centre")
    assert (found.limits, found.retention, found.token) == (Limits(), Retention(), None)
    assert found.external_url == "http://127.0.0.1:8640"


@pytest.mark.parametrize("listen", ["192.0.2.1:80", "0.0.0.0:80", "'[::]:80'", "centre.example:80"])
def test_any_address_but_loopback_needs_tls_and_a_token(estate: Estate, listen: str) -> None:
    estate.write("sentinel", f"listen: {listen}\n")
    with pytest.raises(ConfigRefused, match="needs `tls` and `token` as well"):
        estate.load()
    estate.write("sentinel", f"listen: {listen}\ntoken: 0123456789abcdef0\n")
    with pytest.raises(ConfigRefused, match="needs `tls` as well"):
        estate.load()
    estate.write("sentinel", f"listen: {listen}\ntoken: 0123456789abcdef0\ntls: {{cert: a, key: b}}\n")
    estate.load()


@pytest.mark.parametrize("listen", ["127.0.0.2:80", "localhost:80", "'[::1]:80'"])
def test_loopback_needs_nothing(estate: Estate, listen: str) -> None:
    estate.write("sentinel", f"listen: {listen}\n")
    estate.load()


def test_listen() -> None:
    assert split("[2001:db8::1]:1") == ("2001:db8::1", 1)
    for text in ("8640", "a:", ":1", "::1:80", "a:70000", "user@a:80"):
        with pytest.raises(ValueError, match="an address is written"):
            split(text)


def test_where_state_lies() -> None:
    systemd = Directories.of({"STATE_DIRECTORY": "/a:/b", "RUNTIME_DIRECTORY": "/r", "HOME": "/h"}, 0)
    assert systemd == Directories(Path("/a"), Path("/r"))
    assert Directories.of({}, 0) == Directories(Path("/var/lib/sentinel"), Path("/run/sentinel"))
    home = Directories.of({"HOME": "/h", "XDG_RUNTIME_DIR": "/run/user/7"}, 7)
    assert home == Directories(Path("/h/.local/state/sentinel"), Path("/run/user/7/sentinel"))
    assert Directories.of({"HOME": "/h"}, 7).runtime == Path("/h/.local/state/sentinel")
    assert Directories.of({"HOME": "/h", "XDG_STATE_HOME": "/s"}, 7).state == Path("/s/sentinel")


def test_a_change_in_words() -> None:
    change = compare({"a": "1", "b": "1", "c": "1"}, {"b": "1", "c": "2", "d": "1", "e": "1"})
    assert change == Change(("d", "e"), ("a",), ("c",))
    assert str(change) == "+2 -1 ~1"
    assert change.ids == ("a", "c", "d", "e")
    assert str(compare({"a": "1"}, {"a": "1"})) == "="
    assert not compare({}, {})


def test_fingerprints_change_with_what_they_are_of(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    first = estate.load().fingerprints
    assert first == estate.load().fingerprints
    monkeypatch.setenv("A_PASSWORD", "one")
    estate.change("inventory", "{port: 3389}", '{port: 3389, password: "${env:A_PASSWORD}"}')
    second = estate.load().fingerprints
    ports = ("hall-01.port", "hall-02.port", "hall-03.port")
    assert compare(first, second) == Change((), (), ports)
    monkeypatch.setenv("A_PASSWORD", "two")
    assert compare(second, estate.load().fingerprints).changed == ports
    monkeypatch.setenv("A_PASSWORD", "one")
    estate.change("inventory", "id: camera", "id: kamera")
    estate.change("sla", "down: {}", "down: {of: 5}")
    third = estate.load().fingerprints
    assert compare(second, third) == Change(("kamera.picture",), ("camera.picture",), ("down",))

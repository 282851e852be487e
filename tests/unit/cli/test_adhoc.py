"""A probe's options from the words of a command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from sentinel.catalog import discover
from sentinel.cli.adhoc import NotUnderstood, given, pasted
from sentinel.sdk.protocol import Options


class Drum(Options):
    """Options of no protocol."""

    port: int = Field(default=9, description="Port.")
    loud: bool = Field(default=False, description="Loud.")
    no_rest: bool = Field(default=False, description="No rest.")
    skin: str = Field(default="", description="Skin.")
    beats: dict[str, Any] = Field(default_factory=dict, description="Beats.")


MODELS = {name: protocol.options for name, protocol in discover().protocols.items()}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--port 8080", {"port": "8080"}),
        ("--port=8080 --loud", {"port": "8080", "loud": True}),
        ("--loud --port 1", {"loud": True, "port": "1"}),
        ("--loud false", {"loud": "false"}),
        ("--no-loud", {"loud": False}),
        ("--no-rest", {"no_rest": True}),
        ("--skin=--x", {"skin": "--x"}),
        ('--beats {"a":[1,"b"]}', {"beats": {"a": [1, "b"]}}),
        ("--skin [a-z]+", {"skin": "[a-z]+"}),
    ],
)
def test_options(words: str, expected: dict[str, Any]) -> None:
    assert given(Drum, words.split()) == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("8080", "not understood: '8080'"),
        ("--prot 1", "there is no option --prot; did you mean `port`?"),
        ("--port 1 --port 2", "--port is given twice"),
        ("--port", "--port wants a value"),
        ("--port --loud", "--port wants a value"),
        ("--no-port", "there is no option --no-port"),
        ("--skin ${env:SENTINEL_NOT_SET}", "--skin: ${env:SENTINEL_NOT_SET}: the environment variable is not set"),
        ("--skin=${file:/etc/passwd}", "--skin: ${file:/etc/passwd}: outside of"),
    ],
)
def test_what_is_not_understood(words: str, said: str) -> None:
    with pytest.raises(NotUnderstood) as refused:
        given(Drum, words.split())
    assert said in refused.value.lines[0]


def test_secrets_are_looked_up_and_never_become_structure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASS", '["x"]')
    monkeypatch.chdir(tmp_path)
    (tmp_path / "word").write_text("open sesame\n")
    (tmp_path / "word").chmod(0o600)
    assert given(Drum, ["--skin", "${env:PASS}"]) == {"skin": '["x"]'}
    assert given(Drum, ["--beats", '{"a": "${env:PASS}", "b": [1, "${file:word}"]}']) == {
        "beats": {"a": '["x"]', "b": [1, "open sesame"]}
    }


@pytest.mark.parametrize(
    ("protocol", "address", "host", "options"),
    [
        ("tcp", "192.0.2.1", "192.0.2.1", {}),
        ("tcp", "[2001:db8::1]", "2001:db8::1", {}),
        ("icmp", "camera-1.example", "camera-1.example", {}),
        ("http", "http://192.0.2.1:8080/a?b=c#d", "192.0.2.1", {"scheme": "http", "port": 8080, "path": "/a?b=c"}),
        ("http", "HTTPS://example.org", "example.org", {"scheme": "https"}),
        ("http", "https://[2001:db8::1]:8443/", "2001:db8::1", {"scheme": "https", "port": 8443, "path": "/"}),
        (
            "rtsp",
            "rtsp://us%40er:p%3Aw@192.0.2.9/live",
            "192.0.2.9",
            {"path": "/live", "username": "us@er", "password": "p:w"},
        ),
        ("rtsp", "rtsps://192.0.2.9:322/live", "192.0.2.9", {"path": "/live", "port": 322, "tls": True}),
        ("tcp", "tcp://192.0.2.1:22/", "192.0.2.1", {"port": 22}),
        ("icmp", "icmp://192.0.2.1", "192.0.2.1", {}),
    ],
)
def test_addresses_and_urls(protocol: str, address: str, host: str, options: dict[str, Any]) -> None:
    assert pasted(protocol, MODELS[protocol], address) == (host, options)


@pytest.mark.parametrize(
    ("protocol", "address", "said"),
    [
        ("tcp", "192.0.2.1:80", "is no address and no name; a port is given with --port"),
        ("tcp", "a b", "is no address"),
        ("tcp", "-rf", "is no address"),
        ("rtsp", "https://192.0.2.1/", "a URL of https, but the protocol is rtsp: `sentinel probe http …`?"),
        ("http", "http://:80/", "names no host"),
        ("http", "http://192.0.2.1:99999/", "the URL is not understood"),
        ("http", "http://[::1/", "the URL is not understood"),
        ("tcp", "tcp://user@192.0.2.1:22/x", "tcp has no path and no username"),
        ("icmp", "icmp://192.0.2.1:7", "icmp has no port"),
    ],
)
def test_addresses_that_are_none(protocol: str, address: str, said: str) -> None:
    with pytest.raises(NotUnderstood) as refused:
        pasted(protocol, MODELS[protocol], address)
    assert said in str(refused.value)


def test_no_error_shows_a_password() -> None:
    for address in ("http://u:hunter2@192.0.2.1:x/", "rtsp://u:hunter2@/", "http://u:hunter2@[::1/"):
        with pytest.raises(NotUnderstood) as refused:
            pasted(address.partition(":")[0], MODELS[address.partition(":")[0]], address)
        assert "hunter2" not in str(refused.value)

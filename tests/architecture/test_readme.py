"""What the README says is so: commands parse, files are there, examples are accepted, both languages agree."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from sentinel.catalog import Catalog, discover
from sentinel.cli.main import app
from sentinel.config import Configuration, load
from sentinel.lab.servers import FAULTS

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE, OPERATIONS = "README.md", "README.zh-CN.md", "docs/operations.md"
DOCUMENTS = (ENGLISH, CHINESE, OPERATIONS)
LARGEST_PICTURE = 400_000
USAGE_ERROR: type[Any] = typer.BadParameter.__bases__[0]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXAMPLE = re.compile(r"<!-- example: (\S+) -->\n```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_SPAN = re.compile(r"`([^`\n]+)`")
_FOLDERS = (
    "bench",
    "config",
    "docs",
    "grafana",
    "probes",
    "prometheus",
    "requirements",
    "src",
    "systemd",
    "tests",
    "tools",
)
# A path of this repository, and not the end of a longer one (/etc/sentinel/config/…).
_PATH = re.compile(rf"(?<![\w/.:-])(?:{'|'.join(_FOLDERS)})/[\w./*-]*")


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def shell_lines(text: str) -> Iterator[str]:
    """The commands of all blocks: every line of sh, what follows a prompt in console."""
    for language, body in _FENCE.findall(text):
        for line in body.splitlines():
            if language == "sh":
                yield line
            elif language == "console" and line.startswith("$ "):
                yield line[2:]


def sentinel_commands(text: str) -> Iterator[list[str]]:
    """Arguments of every call of ``sentinel``, and of ``./run``, which is ``sentinel demo``."""
    spans = [span for span in _SPAN.findall(_FENCE.sub("", text)) if re.match(r"sentinel [a-z]|\./run", span)]
    for line in (*shell_lines(text), *spans):
        words = shlex.split(line, comments=True)
        words = words[1:] if words[:1] == ["sudo"] else words
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words = words[1:]
        if words and words[0] in {"sentinel", ".venv/bin/sentinel", "/opt/sentinel/bin/sentinel"}:
            yield words[1:]
        elif words and words[0] == "./run":
            yield ["demo", *words[1:]]


def parsed(arguments: list[str]) -> tuple[str, dict[str, Any], list[str]]:
    """The command that these arguments call, its parameters, and what it takes besides (a protocol's options).

    Raises:
        USAGE_ERROR: it would be refused.
    """
    command: Any = typer.main.get_command(app)  # typer carries a click of its own, with no public types
    parent = None
    while hasattr(command, "commands"):
        context = command.make_context("sentinel", list(arguments), parent=parent)
        _, command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
        parent = context
    context = command.make_context(command.name, list(arguments), parent=parent)
    return command.name, dict(context.params), list(context.args)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return discover()


@pytest.fixture(scope="module")
def shipped(catalog: Catalog) -> Configuration:
    return load(ROOT / "config", ROOT / "probes", catalog=catalog)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_is_understood(document: str, shipped: Configuration, catalog: Catalog) -> None:
    found = list(sentinel_commands(text_of(document)))
    assert len(found) > 5
    for arguments in found:
        try:
            command, given, rest = parsed(arguments)
        except USAGE_ERROR as error:
            pytest.fail(f"sentinel {' '.join(arguments)}: {error}")
        if command in {"break", "heal"} and given["target"] is not None:
            assert given["target"] in shipped.targets
            assert given.get("fault", "down") in FAULTS
        if command == "probe" and given.get("check") not in {None, "", "ID"}:
            assert given["check"] in shipped.checks
        if command == "probe" and given.get("protocol"):
            options = catalog.protocols[str(given["protocol"])].options.model_fields
            names = {word[2:].partition("=")[0].replace("-", "_") for word in rest if word.startswith("--")}
            assert names <= options.keys()


def test_a_command_that_is_no_longer_there_would_be_found() -> None:
    for wrong in (["lab", "smash", "hall-01"], ["status", "--sockt", "x"], ["explain"]):
        with pytest.raises(USAGE_ERROR):
            parsed(wrong)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document: str) -> None:
    targets = [link for link in _LINK.findall(text_of(document)) if not link.startswith("http")]
    assert targets
    lost = [link for link in targets if not ((ROOT / document).parent / link.partition("#")[0]).exists()]
    assert lost == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_that_is_named_is_there(document: str) -> None:
    text = text_of(document)
    named = {path for span in (*shell_lines(text), *_SPAN.findall(text)) for path in _PATH.findall(span)}
    assert named
    assert sorted(path for path in named if not any(ROOT.glob(path.rstrip("/")))) == []


def test_every_recipe_is_in_the_makefile() -> None:
    recipes = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))
    for document in (ENGLISH, CHINESE):
        named = set(re.findall(r"`make ([a-z]+)`", text_of(document)))
        assert named == {"setup", "check", "bench", "docs"}
        assert named <= recipes


@pytest.mark.parametrize("document", [ENGLISH, CHINESE])
def test_the_example_is_accepted_as_it_is_printed(
    document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ``check`` prints of the example is what the README prints, its mistakes too."""
    examples = dict(_EXAMPLE.findall(text_of(document)))
    assert set(examples) == {f"config/{name}.yaml" for name in ("inventory", "sla", "alerting", "sentinel")}
    (tmp_path / "config").mkdir()
    for name, body in examples.items():
        (tmp_path / name).write_text(body, encoding="utf-8")
    (tmp_path / "duty-webhook").write_text("https://198.51.100.7/hook\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))  # where no daemon runs
    check = ["check", "--config", str(tmp_path / "config"), "--probes", str(ROOT / "probes")]

    right = CliRunner().invoke(app, check, env={"COLUMNS": "150"})
    assert right.exit_code == 0, right.output
    printed = [line for line in right.stdout.splitlines() if "would change" not in line]
    for line in printed:
        assert line.rstrip() in text_of(document)

    inventory = tmp_path / "config/inventory.yaml"
    wrong = examples["config/inventory.yaml"].replace("desktop, interval:", "desktop, intervall:")
    inventory.write_text(wrong.replace("parents: [switch-209]  ", "parents: [switch-208]  "), encoding="utf-8")
    refused = CliRunner().invoke(app, check, env={"COLUMNS": "150"})
    assert refused.exit_code == 1
    said = refused.stderr.replace(str(tmp_path), "/etc/sentinel").strip().splitlines()
    assert len(said) == 3
    for line in said:
        assert line in text_of(document)


def test_both_languages_say_the_same() -> None:
    english, chinese = text_of(ENGLISH), text_of(CHINESE)

    def blocks(text: str) -> list[tuple[str, str]]:
        return [(language, re.sub(r" *# .*$", "", body, flags=re.MULTILINE)) for language, body in _FENCE.findall(text)]

    def links(text: str) -> list[str]:
        return [link for link in _LINK.findall(text) if link not in {ENGLISH, CHINESE}]

    def rows(text: str) -> list[int]:
        return [line.count("|") for line in text.splitlines() if line.startswith("|")]

    def sections(text: str) -> list[str]:
        return re.findall(r"^(#+) ", _FENCE.sub("", text), re.MULTILINE)

    assert blocks(chinese) == blocks(english)
    assert links(chinese) == links(english)
    assert rows(chinese) == rows(english)
    assert sections(chinese) == sections(english)
    bullets = re.compile(r"^- ", re.MULTILINE)
    assert len(bullets.findall(chinese)) == len(bullets.findall(english))


def test_a_fault_is_never_called_an_accident() -> None:
    """The word 事故 is the contract's, and only for conferences: what the engine opens is 故障."""
    assert re.findall(r".{6}(?<!会议)事故.{2}", text_of(CHINESE)) == []


def test_pictures_are_small_enough_to_be_looked_at() -> None:
    pictures = list((ROOT / "docs/images").iterdir())
    assert pictures
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG\r\n")
        assert picture.stat().st_size <= LARGEST_PICTURE
        assert picture.name in text_of(ENGLISH)

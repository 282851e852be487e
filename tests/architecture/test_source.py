"""The shape of the source: sizes, words that do not belong, what is banned, what must be written down."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from sentinel.cli.main import app
from sentinel.domain.failure import CODES, STAGES
from sentinel.domain.incident import REASONS
from sentinel.domain.words import CODES as CODE_WORDS
from sentinel.domain.words import REASONS as REASON_WORDS
from sentinel.domain.words import STAGES as STAGE_WORDS

ROOT = Path(__file__).parents[2]
SOURCE = sorted((ROOT / "src" / "sentinel").rglob("*.py"))

FILE_LINES = 400
FUNCTION_LINES = 60


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCE, ids=_name)
def test_a_file_has_one_subject(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= FILE_LINES


@pytest.mark.parametrize("path", SOURCE, ids=_name)
def test_a_function_fits_on_a_screen(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            assert node.end_lineno - node.lineno < FUNCTION_LINES, node.name


@pytest.mark.parametrize("path", SOURCE, ids=_name)
def test_nothing_that_is_banned_is_called(path: Path) -> None:
    # Ruff says the same, but for what a noqa lets through; for these there is no reason that would be one.
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute):
            called = f"{node.value.id}.{node.attr}" if isinstance(node.value, ast.Name) else node.attr
            assert called not in {"asyncio.wait_for", "asyncio.ensure_future", "os.system"}, f"line {node.lineno}"
        if isinstance(node, ast.ImportFrom) and node.module == "asyncio":
            assert not {alias.name for alias in node.names} & {"wait_for", "ensure_future"}, f"line {node.lineno}"


@pytest.mark.parametrize("path", SOURCE, ids=_name)
def test_names_are_the_fields_nouns(path: Path) -> None:
    assert not {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"} & set(
        path.relative_to(ROOT).with_suffix("").parts
    )


@pytest.mark.parametrize("path", SOURCE, ids=_name)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


def _tracked() -> Iterator[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if name and path.is_file() and path.suffix not in {".png", ".jpg", ".woff2", ".db", ".h264", ".h265"}:
            yield path


FORBIDDEN = re.compile(
    "|".join(
        (
            r"/" + r"work/(main|shared)",  # written apart, or this file would hold them
            r"\.\./" + r"shared",
            r"/" + r"root/",
            r"/tmp/" + r"bash_jobs",
        )
    )
)


def test_no_path_of_one_machine_is_in_a_file_that_is_kept() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout: only git knows which files are kept")
    found = []
    for path in _tracked():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{_name(path)}: {match.group()}" for match in FORBIDDEN.finditer(text)]
    assert not found


def test_every_stage_code_and_reason_has_its_words() -> None:
    assert set(STAGES) == set(STAGE_WORDS)
    assert set(CODES) == set(CODE_WORDS)
    assert set(REASONS) == set(REASON_WORDS)


def _used(function: str, position: int) -> dict[str, set[str]]:
    """The literals that are given to a function in the source, by file."""
    found: dict[str, set[str]] = {}
    for path in SOURCE:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name == function and len(node.args) > position:
                argument = node.args[position]
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    found.setdefault(_name(path), set()).add(argument.value)
    return found


@pytest.mark.parametrize(
    ("function", "position", "known"),
    [("Failure", 0, STAGES), ("Failure", 1, CODES), ("stage", 0, STAGES), ("fail", 0, CODES)],
)
def test_every_stage_and_code_in_the_source_is_listed(function: str, position: int, known: dict[str, str]) -> None:
    used = _used(function, position)
    assert used
    for path, words in used.items():
        assert words <= known.keys(), path


@pytest.mark.parametrize("name", sorted(set(STAGES) | set(CODES)))
def test_every_stage_and_code_is_documented(name: str) -> None:
    document = ROOT / "docs" / "failures.md"
    assert f"`{name}`" in document.read_text("utf-8")


def _commands(
    command: typer.core.TyperCommand | typer.core.TyperGroup, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], object]]:
    if isinstance(command, typer.core.TyperGroup):
        for name, one in command.commands.items():
            yield from _commands(one, (*path, name))  # type: ignore[arg-type]  # typer makes no others
    else:
        yield path, command


def test_every_command_and_option_is_documented() -> None:
    pages = "\n".join(path.read_text("utf-8") for path in (ROOT / "docs").rglob("*.md"))
    for path, command in _commands(get_command(app)):  # type: ignore[arg-type]  # the same
        assert getattr(command, "help", ""), path
        assert f"sentinel {' '.join(path)}" in pages, path
        for parameter in getattr(command, "params", ()):
            if parameter.name != "help":
                assert getattr(parameter, "help", ""), (path, parameter.name)

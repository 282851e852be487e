"""``sentinel init`` and ``sentinel schema`` write what they say, and nothing over what is there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from sentinel.cli.init import init
from sentinel.cli.schema import schema
from sentinel.config import load, open_catalog, starter
from sentinel.config.schema import FILES

app = typer.Typer()
app.command()(init)
app.command()(schema)


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    return result.exit_code, result.stdout, result.stderr


def test_what_it_writes_is_right(tmp_path: Path) -> None:
    code, out, _ = run("init", tmp_path / "new")
    assert code == 0
    assert f"sentinel check --config {tmp_path}/new/config\n" in out
    config = tmp_path / "new/config"
    assert len(load(config, catalog=open_catalog(config)).targets) > 300
    assert (tmp_path / "new/probes/profiles/interfaces.yaml").is_file()
    assert (tmp_path / "new/probes/site/example.py").is_file()


def test_site_protocols_can_be_switched_on_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        run("init", tmp_path / "new")
    finally:
        os.umask(before)
    settings = tmp_path / "new/config/sentinel.yaml"
    settings.write_text("site_protocols: true\n", encoding="utf-8")
    catalog = open_catalog(settings.parent)
    assert catalog.broken == ()
    assert "example_status" in catalog.protocols


def test_nothing_is_overwritten_unless_it_is_wanted(tmp_path: Path) -> None:
    run("init", tmp_path)
    mine = tmp_path / "config/sla.yaml"
    mine.write_text("mine", encoding="utf-8")
    (tmp_path / "config/inventory.yaml").unlink()
    code, _, err = run("init", tmp_path)
    assert code == 1
    assert "is there already" in err
    assert "Nothing was written." in err
    assert mine.read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "config/inventory.yaml").exists()
    assert run("init", tmp_path, "--force")[0] == 0
    assert mine.read_text(encoding="utf-8") != "mine"


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    code, _, err = run("init", tmp_path / "file/below")
    assert code == 2
    assert "Not a directory" in err


def test_the_installed_package_brings_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages/sentinel"
    monkeypatch.setattr("sentinel.config.starter.files", lambda _: package)
    package.mkdir(parents=True)
    assert starter.starter() == tmp_path
    (package / "_starter/config").mkdir(parents=True)
    (package / "_starter/config/sla.yaml").write_text("rules: []\n", encoding="utf-8")
    assert starter.starter() == package / "_starter"
    assert run("init", tmp_path / "new")[0] == 0
    assert (tmp_path / "new/config/sla.yaml").read_text(encoding="utf-8") == "rules: []\n"


def test_schemas_are_printed_or_written(tmp_path: Path) -> None:
    assert json.loads(run("schema")[1]).keys() == FILES.keys()
    assert json.loads(run("schema", "sla")[1])["title"] == "sla.yaml"
    code, _, err = run("schema", "slo")
    assert code == 2
    assert "no such file; known" in err.replace("\n", " ")
    assert run("schema", "--write", tmp_path / "s")[1].count("wrote ") == len(FILES)
    assert run("schema", "--write", tmp_path / "s")[1] == ""
    assert run("schema", "--reference")[1].startswith("# Configuration\n")
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert run("schema", "--write", tmp_path / "file/below")[0] == 2
    code, _, err = run("schema", "sla", "--site", tmp_path / "none")
    assert code == 0
    assert "there is no such directory" in err

"""A small catalog and a small configuration that is right, to be spoilt in one place."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, SecretStr, model_validator

from sentinel.catalog import Catalog
from sentinel.config import Configuration, load
from sentinel.domain.notice import Message
from sentinel.domain.target import Target
from sentinel.sdk.channel import Channel, ChannelOptions, Post
from sentinel.sdk.protocol import Options, Protocol, Run, Value

TESTDATA = Path(__file__).parents[2] / "testdata" / "config"


class IcmpOptions(Options):
    count: int = Field(default=3, ge=1, le=100, description="Packets.")


class TcpOptions(Options):
    port: int = Field(ge=1, le=65_535, description="Port.")
    mode: Literal["plain", "tls"] = Field(default="plain", description="Mode.")
    password: SecretStr | None = Field(default=None, description="Password.")

    @model_validator(mode="after")
    def _no_secret_words(self) -> TcpOptions:
        if self.password is not None and self.password.get_secret_value().startswith("bad"):
            raise ValueError(f"the password {self.password.get_secret_value()} will not do")
        return self


class Login(Options):
    user: str = Field(description="User.")
    password: SecretStr = Field(description="Password.")


class VideoOptions(Options):
    port: int | None = Field(default=None, description="Port.")
    path: str = Field(description="Path.")
    login: Login | None = Field(default=None, description="Login.")


class HookOptions(ChannelOptions):
    url: SecretStr = Field(description="URL.")
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="Headers.")
    retries: int = Field(default=3, ge=0, description="Retries.")


async def _probe(target: Target, options: Options, run: Run) -> None:
    """Never run."""


async def _send(messages: Sequence[Message], options: ChannelOptions, post: Post) -> None:
    """Never run."""


@pytest.fixture
def catalog() -> Catalog:
    protocols = (
        Protocol("icmp", IcmpOptions, _probe, values=(Value("loss_ratio", "", "Loss."),), transport="icmp"),
        Protocol("tcp", TcpOptions, _probe, values=(Value("certificate_days_left", "d", "Days."),)),
        Protocol("video", VideoOptions, _probe, retrieves_picture=True),
    )
    return Catalog({each.name: each for each in protocols}, {"hook": Channel("hook", HookOptions, _send)})


class Estate:
    """A copy of the right configuration whose files can be changed."""

    def __init__(self, root: Path, catalog: Catalog) -> None:
        shutil.copytree(TESTDATA / "good", root, dirs_exist_ok=True)
        self.config, self.probes, self.catalog = root / "config", root / "probes", catalog

    def write(self, name: str, text: str) -> None:
        """Replace ``<name>.yaml``; ``probes`` is the one file of probes."""
        path = self.probes / "all.yaml" if name == "probes" else self.config / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")

    def change(self, name: str, old: str, new: str) -> None:
        """Replace a text that is there once."""
        path = self.probes / "all.yaml" if name == "probes" else self.config / f"{name}.yaml"
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {name}.yaml"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def load(self) -> Configuration:
        return load(self.config, catalog=self.catalog)


@pytest.fixture
def estate(tmp_path: Path, catalog: Catalog) -> Estate:
    return Estate(tmp_path / "estate", catalog)

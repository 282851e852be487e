"""The options of the protocol ``files``."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from sentinel.sdk.patterns import Pattern
from sentinel.sdk.ssh_login import HostKeys, SshLogin, require_login

# What strftime(3) knows and a file's name may hold; none of them depends on a locale.
_FORMAT = re.compile(r"(%[YmdHMSjyf%]|[^%])+")


class FilesOptions(SshLogin):
    """Where the files lie, which of them count, and what in their names says their order."""

    transport: Literal["sftp", "local"] = Field(
        default="sftp",
        description="How they are read: over SFTP at the target's address, or in this host's own file system.",
    )
    username: str = Field(
        default="", max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$", description="User to log in as, for sftp."
    )
    host_key: HostKeys = Field(
        default=(),
        description=(
            'The server\'s host key for sftp, as a fingerprint "SHA256:…" or a line "ssh-ed25519 AAAA…"; several '
            'where it has several. "any" takes whatever is shown: whoever sits between then learns the password.'
        ),
    )
    path: str = Field(
        min_length=1, max_length=1_000, pattern=r"^[^\x00]+$", description='The directory: "/srv/recordings".'
    )
    depth: int = Field(default=0, ge=0, le=8, description="Levels of directories below it that count as well.")
    glob: str = Field(
        default="*", min_length=1, max_length=200, description='Names that count: "*.mp4"; * and ? are wild.'
    )
    matches: Pattern | None = Field(
        default=None, description="Pattern (RE2) that the names must hold as well, where glob is not enough."
    )
    number: Pattern | None = Field(
        default=None, description=r'Pattern (RE2) whose group is the number in a name: "-(\d+)\.mp4$".'
    )
    time: Pattern | None = Field(
        default=None, description=r'Pattern (RE2) whose group is the time in a name: "-(\d{8}-\d{4})-".'
    )
    time_format: str = Field(
        default="%Y%m%d-%H%M", max_length=60, description="How that time is written, in the manner of strftime."
    )
    series: Pattern | None = Field(
        default=None,
        description="Pattern (RE2) whose group tells series apart that are numbered each by itself: a venue, a day.",
    )
    settled_after: float = Field(
        default=60.0,
        ge=0,
        le=86_400,
        description="Seconds without a change after which a file is whole: younger ones may still be empty.",
    )
    free_space: bool = Field(
        default=True,
        description="Measure what is free; over SFTP the server must know statvfs@openssh.com, as OpenSSH does.",
    )
    max_entries: int = Field(
        default=10_000,
        ge=1,
        le=100_000,
        description="Entries of all directories that are looked at, past which the check fails with too_large.",
    )

    @field_validator("time_format")
    @classmethod
    def _format_is_known(cls, text: str) -> str:
        if not _FORMAT.fullmatch(text):
            raise ValueError("only %Y %m %d %H %M %S %j %y %f and %% are understood")
        return text

    @model_validator(mode="after")
    def _login_is_whole(self) -> Self:
        if self.transport == "sftp":
            require_login(self)
        return self

    def counts(self, name: str) -> bool:
        """Whether a file of this name counts."""
        return _glob(self.glob).whole(name) and (self.matches is None or self.matches.found_in(name))

    def when(self, text: str) -> datetime | None:
        """The time in a name; its zone is nobody's business, gaps are the same in each."""
        try:
            return datetime.strptime(text, self.time_format).replace(tzinfo=UTC)
        except ValueError:
            return None


@lru_cache(maxsize=256)
def _glob(glob: str) -> Pattern:
    return Pattern("(?s)" + "".join({"*": ".*", "?": "."}.get(one) or re.escape(one) for one in glob))

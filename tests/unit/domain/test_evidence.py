"""What may be kept as evidence."""

from __future__ import annotations

import pytest

from sentinel.domain.evidence import MAX_BYTES, Evidence


def test_a_picture_of_the_largest_size_is_kept() -> None:
    assert len(Evidence("picture", "image/jpeg", bytes(MAX_BYTES)).data) == MAX_BYTES


@pytest.mark.parametrize(
    ("kind", "media_type", "size", "why"),
    [
        ("gossip", "image/jpeg", 1, "unknown kind"),
        ("picture", "text/html", 1, "may not be"),
        ("picture", "image/jpeg", MAX_BYTES + 1, "at most"),
    ],
)
def test_what_is_not_kept(kind: str, media_type: str, size: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Evidence(kind, media_type, bytes(size))

"""The closed lists of stages and codes."""

import pytest

from sentinel.domain.failure import CODES, LOCAL_CODES, STAGES, Failure


def test_only_what_is_listed_can_be_said() -> None:
    with pytest.raises(ValueError, match="unknown stage 'conect'"):
        Failure("conect", "refused")
    with pytest.raises(ValueError, match="unknown code 'broken'"):
        Failure("connect", "broken")


@pytest.mark.parametrize("code", CODES)
def test_a_failure_is_ours_or_the_targets(code: str) -> None:
    assert Failure("probe", code).local is (code in LOCAL_CODES)


def test_the_lists_are_consistent() -> None:
    assert set(CODES) > LOCAL_CODES
    for name, text in (STAGES | CODES).items():
        assert name == name.lower().replace("-", "_").replace(" ", "_")
        assert text
        assert not text.endswith(".")

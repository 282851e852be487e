"""Facts."""

import pytest

from sentinel.domain.observation import Measurement, Observation, Outcome
from sentinel.domain.target import Target


def test_an_observation_ends_when_its_probe_did() -> None:
    assert Observation("c", 99.5, 100.0, 2.5, "centre", Outcome.OK).ended_at == 102.5


def test_what_all_have_in_common_cannot_be_changed() -> None:
    nothing = Observation("c", 0, 0, 0, "centre", Outcome.OK)
    for empty in (nothing.values, nothing.stages, nothing.facts, Measurement(0.0).values):
        with pytest.raises(TypeError):
            empty["x"] = 1  # type: ignore[index]  # that it cannot is what is tested


def test_a_target_has_no_labels_and_no_parents_unless_said() -> None:
    bare = Target("a", "a", "192.0.2.1", "switch", "internal")
    assert (dict(bare.labels), bare.parents, bare.reachability) == ({}, (), None)

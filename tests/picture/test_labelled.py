"""The shipped thresholds on the labelled set: what is wrong is told, and what is not is left alone."""

import pytest

from tests.picture import labelled

BASES = ("astronaut", "chelsea", "coffee", "rocket", "motorcycle", "camera", "hubble_deep_field")
"""Enough for precision and recall to mean something in a test run; `python -m bench picture` takes all."""


@pytest.mark.timeout(180)
def test_precision_and_recall() -> None:
    found = [
        (sample, values := labelled.measured(sample), labelled.judged(values))
        for sample in labelled.samples(seed=20, bases=BASES, clips=3)
    ]
    wrong = labelled.mistakes((sample, told, values) for sample, values, told in found)
    scores = labelled.scores((sample, told) for sample, _, told in found)
    for fault, score in scores.items():
        assert score.right + score.missed >= 4, fault
        assert score.false + score.missed <= 1, (fault, wrong)  # of seven: the benchmark has enough for a share
    assert sum(score.false for score in scores.values()) <= 0.05 * sum(score.right for score in scores.values()), wrong
    assert sum(score.missed for score in scores.values()) <= 0.05 * sum(score.right for score in scores.values()), wrong

"""Picture diagnosis: what a picture costs beside decoding, and how often the shipped thresholds are right.

python -m bench.picture [--pictures N] [--seeds N] [--json FILE]

CPU is of the measures of one 1080p picture, and of the JPEG that is made once a run.  Precision and recall are those
of ``config/sla.yaml`` on the labelled set of ``tests/picture``: real pictures at full size with faults and without,
encoded, and GStreamer's test patterns.  Each seed makes another set: other parts of the pictures, other light, lenses,
grain, codecs and qualities.  Thresholds were found on seeds 20 and 101 to 105; seeds 1 to 5 are for measuring only.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from bench.peers import finish, options
from sentinel.picture import decoder
from sentinel.picture.portrait import portrait
from sentinel.picture.survey import Survey
from tests.picture import labelled, scenes

LIMIT_MS = 3.0
LEAST = 0.95


def _milliseconds(work: Callable[[], object], count: int) -> float:
    """Median CPU time of one call."""
    took = []
    for _ in range(count):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return statistics.median(took) * 1e3


def main() -> int:
    """Measure the cost, then the set."""
    parser = options("picture", __doc__ or "")
    parser.add_argument("--pictures", type=int, default=200, help="times that each work is done")
    parser.add_argument("--seeds", type=int, default=5, help="how many sets are made")
    chosen = parser.parse_args()
    random = np.random.default_rng(1)
    picture = scenes.grain(scenes.view("astronaut", random), 2.0, random)
    unit = labelled.encoded([picture], "h264", 26)[0]
    frame, _ = decoder.decode("h264", unit)

    def measure() -> None:
        survey = Survey({"seconds": [0.0]}, b"")
        survey.take(frame, 0.0)
        survey.values  # noqa: B018 - a property that does the work

    cost = _milliseconds(measure, chosen.pictures)
    figures: dict[str, float | str] = {
        "decoding a 1080p key frame, CPU ms": _milliseconds(lambda: decoder.decode("h264", unit), chosen.pictures),
        "measures of it, CPU ms": cost,
        "its JPEG, once a run, CPU ms": _milliseconds(lambda: portrait(frame), chosen.pictures),
    }
    table = {fault: labelled.Score() for fault in labelled.RULES.values()}
    pictures = 0
    for seed in range(1, chosen.seeds + 1):
        found = []
        for sample in labelled.samples(seed=seed):
            pictures += 1
            found.append((sample, labelled.judged(labelled.measured(sample))))
        for fault, score in labelled.scores(found).items():
            table[fault].right += score.right
            table[fault].false += score.false
            table[fault].missed += score.missed
    figures["labelled pictures and clips"] = pictures
    ratios = {"CPU of the measures, to 3 ms": (cost / LIMIT_MS, 1.0)}
    for fault, score in table.items():
        figures[f"{fault}: told rightly, wrongly, missed"] = f"{score.right}, {score.false}, {score.missed}"
        figures[f"{fault}: precision"] = score.precision
        figures[f"{fault}: recall"] = score.recall
        worst = min(score.precision, score.recall)
        ratios[f"{fault}: wrong share of precision or recall"] = (1 - worst, 1 - LEAST + 1e-9)
    return finish("picture", {**figures}, ratios, chosen.json)


if __name__ == "__main__":
    sys.exit(main())

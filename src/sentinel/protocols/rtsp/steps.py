"""What all parts of the probe share: stages whose failures are told in the closed list's words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sentinel.picture.decoding import WorkerDied
from sentinel.protocols.rtsp.messages import Response, RtspFailure
from sentinel.protocols.rtsp.options import RtspOptions
from sentinel.protocols.rtsp.session import demand
from sentinel.sdk.protocol import Run


@contextlib.contextmanager
def step(run: Run, name: str) -> Iterator[None]:
    """A stage; what RTSP or a decoding process says becomes its failure."""
    with run.stage(name):
        try:
            yield
        except RtspFailure as failure:
            run.fail(failure.code, failure.detail)
        except WorkerDied as error:
            run.fail("worker_died", str(error))


def expect_ok(answer: Response, asked: str, options: RtspOptions) -> None:
    """Go on only with a 2xx answer.

    Raises:
        RtspFailure: with the code that the status means.
    """
    demand(answer, asked=asked, logged_in=options.username is not None)

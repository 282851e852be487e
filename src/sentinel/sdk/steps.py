"""Probes of several steps: each is timed and named where it fails, and what is secret stays so.

    with hiding(run, secrets):
        for each in options.steps:
            async with step(run, each.name, each.timeout):
                ...

The protocol declares the value ``step_seconds`` with items.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from pydantic import SecretStr

from sentinel.domain.failure import Failure
from sentinel.sdk.placeholders import hide
from sentinel.sdk.protocol import ProbeFailed, Run

_MARGIN: Final = 0.03
"""Seconds before the check's deadline at which a step ends: so that what is told names the step."""


@asynccontextmanager
async def step(run: Run, name: str, seconds: float | None = None) -> AsyncIterator[None]:
    """One step: measures ``step_seconds:<name>``; ends after ``seconds``, and with the check at the latest.

    The fact ``step`` names the one that a run is in, and so the one that it ended in.

    Raises:
        ProbeFailed: what the block raised, its detail beginning with the step's name; ``timed_out``.
    """
    run.facts["step"] = name
    began = time.monotonic()
    limit = max(0.0, run.left - _MARGIN)
    try:
        async with asyncio.timeout(limit if seconds is None else min(limit, seconds)):
            yield
    except TimeoutError:
        run.fail("timed_out", f"step {name}: no answer within {time.monotonic() - began:.3g} s")
    except ProbeFailed as failed:
        failure = failed.failure
        detail = f"step {name}: {failure.detail}".rstrip(": ")[:500]
        raise ProbeFailed(Failure(failure.stage, failure.code, detail)) from failed
    finally:
        run.values[f"step_seconds:{name}"] = time.monotonic() - began


@contextmanager
def hiding(run: Run, secrets: Iterable[SecretStr]) -> Iterator[None]:
    """Take the secrets out of the facts, and out of a failure's detail; the fact ``step`` goes where all went well."""
    hidden = [secret.get_secret_value() for secret in secrets]
    try:
        yield
        run.facts.pop("step", None)
    except ProbeFailed as failed:
        failure = failed.failure
        raise ProbeFailed(Failure(failure.stage, failure.code, hide(failure.detail, hidden))) from None
    finally:
        run.facts.update({name: hide(text, hidden) for name, text in run.facts.items()})

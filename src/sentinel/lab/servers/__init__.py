"""One file for each protocol that the lab plays: whatever declares a ``SIMULATION`` here is found."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Final

from sentinel.lab.faults import COMMON, Fault
from sentinel.lab.simulation import Simulation


def _found() -> tuple[Simulation, ...]:
    modules = (importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__))
    declared = (getattr(module, "SIMULATION", None) for module in modules)
    return tuple(one for one in declared if isinstance(one, Simulation))


_SIMULATIONS: Final = _found()

SIMULATIONS: Final = {protocol: one for one in _SIMULATIONS for protocol in one.protocols}
"""What plays a protocol, by the protocol's name."""

FAULTS: Final[dict[str, Fault]] = {
    fault.name: fault for fault in (*COMMON, *(f for s in _SIMULATIONS for f in s.faults))
}
"""Every fault that can be ordered, by its name."""

"""Names of OIDs: those of the standard modules that come along, and those of a directory of MIB files.

``mib_names.tsv`` is made by ``tools/snmp_names.py`` from the modules that are listed in it: names, numbers, types,
units and enumerations, none of their text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import files as resources
from pathlib import Path

from sentinel.wire import mib
from sentinel.wire.mib import Symbol


class Names:
    """Symbols by OID."""

    def __init__(self, symbols: Iterable[Symbol]) -> None:
        self._symbols: dict[str, Symbol] = {}
        for symbol in symbols:
            # A compliance group may sit at a number that a module's object has, too: what has a value is meant.
            if symbol.oid not in self._symbols or (symbol.base and not self._symbols[symbol.oid].base):
                self._symbols[symbol.oid] = symbol

    def __len__(self) -> int:
        return len(self._symbols)

    def __getitem__(self, oid: str) -> Symbol | None:
        return self._symbols.get(oid)

    def find(self, oid: str) -> tuple[Symbol | None, str]:
        """The nearest symbol at or above an OID, and what is left of the OID below it ("0", "7.1", or empty)."""
        at = len(oid)
        while at > 0:
            symbol = self._symbols.get(oid[:at])
            if symbol is not None:
                return symbol, oid[at + 1 :]
            at = oid.rfind(".", 0, at)
        return None, oid

    def shown(self, oid: str) -> str:
        """``IF-MIB::ifInOctets.7``; the OID itself where nothing near it has a name."""
        symbol, rest = self.find(oid)
        if symbol is None or not symbol.module:
            return oid
        return f"{symbol.module}::{symbol.name}{'.' if rest else ''}{rest}"

    def row(self, column: Symbol) -> Symbol | None:
        """The row that a column belongs to; None where it is no column."""
        above = self._symbols.get(column.oid.rpartition(".")[0])
        return above if above is not None and above.base == mib.ROW else None

    def oid(self, name: str) -> str | None:
        """The OID of a name, with its module before it (``IF-MIB::ifTable``) or without."""
        module, _, plain = name.rpartition("::")
        return self._oids.get((module, plain) if module else plain)

    @property
    def _oids(self) -> Mapping[object, str]:
        found: dict[object, str] = {}
        for symbol in self._symbols.values():
            found.setdefault(symbol.name, symbol.oid)
            found[symbol.module, symbol.name] = symbol.oid
        return found


@lru_cache(maxsize=1)
def standard() -> Names:
    """The names that come along."""
    return Names(_bundled())


def with_directory(folder: Path) -> Names:
    """The names of a directory's MIB files, and under them those that come along.

    Raises:
        OSError: the directory can't be read.
    """
    bundled = list(_bundled())
    own = mib.read(mib.files(folder), {symbol.name: symbol.oid for symbol in bundled})
    return Names([*own, *bundled])


def write(symbols: Iterable[Symbol]) -> str:
    """The lines of ``mib_names.tsv``."""
    lines = []
    for s in symbols:
        labels = " ".join(f"{number}={label}" for number, label in s.labels.items())
        lines.append(f"{s.oid}\t{s.name}\t{s.module}\t{s.base}\t{s.convention}\t{s.units}\t{labels}".rstrip("\t"))
    return "\n".join(lines) + "\n"


def _bundled() -> Iterable[Symbol]:
    text = resources("sentinel.wire").joinpath("mib_names.tsv").read_text("utf-8")
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        oid, name, module, base, convention, units, labels = (line.split("\t") + [""] * 6)[:7]
        pairs = (pair.partition("=") for pair in labels.split())
        yield Symbol(oid, name, module, base, convention, units, {int(number): label for number, _, label in pairs})

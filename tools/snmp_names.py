"""Make src/sentinel/wire/mib_names.tsv from a directory of the modules' own files (MODULE.txt).

.venv/bin/python tools/snmp_names.py DIRECTORY

The modules are those of the RFCs named here; only names, numbers, types, units and enumerations are taken over.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sentinel.wire import mib, mib_names

MODULES = {
    "SNMPv2-SMI": "RFC 2578",
    "SNMPv2-MIB": "RFC 3418",
    "SNMP-FRAMEWORK-MIB": "RFC 3411",
    "IF-MIB": "RFC 2863",
    "EtherLike-MIB": "RFC 3635",
    "IP-MIB": "RFC 4293",
    "TCP-MIB": "RFC 4022",
    "UDP-MIB": "RFC 4113",
    "BRIDGE-MIB": "RFC 4188",
    "POWER-ETHERNET-MIB": "RFC 3621",
    "HOST-RESOURCES-MIB": "RFC 2790",
    "HOST-RESOURCES-TYPES": "RFC 2790",
    "ENTITY-MIB": "RFC 6933",
    "ENTITY-SENSOR-MIB": "RFC 3433",
    "UPS-MIB": "RFC 1628",
    "Printer-MIB": "RFC 3805",
    "UCD-SNMP-MIB": "Net-SNMP",
}
LONGEST = 40  # members of an enumeration; interface types have three hundred

TARGET = Path(__file__).parents[1] / "src" / "sentinel" / "wire" / "mib_names.tsv"


def main(folder: Path) -> None:
    """Write the file anew."""
    wanted = [
        symbol._replace(labels=symbol.labels if len(symbol.labels) <= LONGEST else {})
        for symbol in mib.read(mib.files(folder), {})
        if symbol.module in MODULES
    ]
    sources = ", ".join(f"{module} ({source})" for module, source in MODULES.items())
    heading = f"# Made by tools/snmp_names.py from {sources}.\n# OID, name, module, type, convention, units, labels.\n"
    TARGET.write_text(heading + mib_names.write(wanted), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

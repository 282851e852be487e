"""SNMP: polling by OID and by profile."""

from sentinel.protocols.snmp.probe import PROTOCOL

__all__ = ["PROTOCOL"]

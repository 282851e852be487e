"""SNMP notifications: what devices report by themselves."""

from sentinel.protocols.snmp_trap.probe import PROTOCOL

__all__ = ["PROTOCOL"]

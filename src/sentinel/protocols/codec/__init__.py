"""What conference endpoints and MCUs say of themselves, by profile."""

from sentinel.protocols.codec.probe import PROTOCOL

__all__ = ["PROTOCOL"]

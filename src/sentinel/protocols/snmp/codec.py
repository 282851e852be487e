"""gufo-snmp's encoder and decoder, without its network.

gufo's socket objects encode straight into their own socket and decode straight out of it.  That can't be had: the
decoder panics on a datagram that ends inside a header, goes on reading as long as datagrams with a wrong request id
keep coming, in which time the event loop stands still, and tells a closed port as a timeout; and gufo's own waiting
is ``asyncio.wait_for``, which on Python 3.11 can swallow the runner's cancellation (cpython 86296).  So each gufo
object's descriptor is replaced by one end of a socket pair, the tube: what it sends is read at the other end and
goes out on a socket of ours, and only what has been looked at is put back for it to decode.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any, TypeVar

from gufo.snmp import SnmpAuthError, SnmpError

# The public session classes hide the two halves of a request, sending and receiving, which we need apart.
from gufo.snmp._fast import GetIter, SnmpV2cClientSocket, SnmpV3ClientSocket

from sentinel.protocols.snmp.answers import AgentError
from sentinel.protocols.snmp.credentials import Credentials
from sentinel.protocols.snmp.datagram import LARGEST

__all__ = ["NOTHING", "NOT_OURS", "Codec", "GetIter", "Tube"]

T = TypeVar("T")
NOT_OURS = object()
"""Decoded: the answer to another request."""
NOTHING = None
"""Decoded: the end of a table, a report, or an error-status that the caller knows from the datagram itself."""

_NOWHERE = "127.0.0.1:9"  # gufo wants an address to connect to; nothing is ever sent there


class Tube:
    """A pair of sockets that all codecs of one event loop share: each use of it begins and ends in one call."""

    def __init__(self) -> None:
        self.inner, self.outer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.inner.setblocking(False)
        self.outer.setblocking(False)

    def close(self) -> None:
        """Close both ends."""
        self.inner.close()
        self.outer.close()


class Codec:
    """One agent's encoder and decoder: knows the credentials, the engine, and the id of the last request."""

    def __init__(self, credentials: Credentials, tube: Tube) -> None:
        """Take one descriptor.

        Raises:
            OSError: there is none left.
        """
        self.gufo: Any  # the two classes share their methods and no base class
        try:
            if credentials.version == "v3":
                self.gufo = SnmpV3ClientSocket(_NOWHERE, b"", "", 0, b"", 0, b"", 0, 0, 0, 0)
            else:
                self.gufo = SnmpV2cClientSocket(_NOWHERE, credentials.community, 0, 0, 0, 0)
        except OSError:
            # Rust's error has a text and no number; asking the kernel for a descriptor again raises the true one.
            os.close(os.dup(tube.inner.fileno()))
            raise
        self._tube = tube
        os.dup2(tube.inner.fileno(), self.gufo.get_fd(), inheritable=False)

    def encode(self, send: Callable[[], None]) -> bytes:
        """The datagram of a request; ``send`` is one of gufo's ``send_`` methods."""
        send()
        return self._tube.outer.recv(LARGEST)

    def decode(self, data: bytes, receive: Callable[[], T]) -> T | object:
        """What a datagram that was found sound says; ``receive`` is one of gufo's ``recv_`` methods.

        Raises:
            AgentError: ``protocol_error``, the decoder does not take it.
        """
        self._tube.outer.send(data)
        try:
            return receive()
        except BlockingIOError:
            return NOT_OURS
        except (SnmpAuthError, StopAsyncIteration):
            return NOTHING
        except SnmpError as error:
            raise AgentError("protocol_error", str(error)) from error
        except (Exception, asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # pyo3's PanicException: our own look at the datagram missed something
            raise AgentError("protocol_error", f"the decoder gave up: {error}") from error

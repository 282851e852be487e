"""TCP.

``options`` says what to connect to, ``probe`` connects and hears one answer, ``dialogue`` speaks several steps.
"""

from sentinel.protocols.tcp.options import TcpOptions
from sentinel.protocols.tcp.probe import PROTOCOL, probe

__all__ = ["PROTOCOL", "TcpOptions", "probe"]

"""DNS.

``options`` says what to ask and to expect, ``exchange`` asks and tells answers from forgeries, ``probe`` compares.
"""

from sentinel.protocols.dns.options import DnsOptions
from sentinel.protocols.dns.probe import PROTOCOL, probe

__all__ = ["PROTOCOL", "DnsOptions", "probe"]

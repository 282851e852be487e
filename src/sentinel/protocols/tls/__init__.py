"""TLS.

``options`` says whom to ask and what is expected, ``starttls`` the words before TLS where a service has them,
``handshake`` shakes hands, ``certificates`` measures what was shown, ``probe`` goes through it.
"""

from sentinel.protocols.tls.options import TlsCheckOptions
from sentinel.protocols.tls.probe import PROTOCOL, probe

__all__ = ["PROTOCOL", "TlsCheckOptions", "probe"]

"""HTTP and HTTPS.

``options`` says what is asked and expected, ``probe`` asks, ``connector`` times, ``body`` and ``expect`` read and
compare the answer.
"""

from sentinel.protocols.http.options import HttpOptions
from sentinel.protocols.http.probe import PROTOCOL, probe

__all__ = ["PROTOCOL", "HttpOptions", "probe"]

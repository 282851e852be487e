"""HTTP and HTTPS.

``options`` says what is asked and expected (``expectations``, and the ``steps`` of a scenario); ``probe`` asks once,
``scenario`` several times; ``following`` goes after redirects with ``cookies``; ``exchange`` asks and times; ``body``,
``expect`` and ``captures`` read the answer and compare it.
"""

from sentinel.protocols.http.options import HttpOptions
from sentinel.protocols.http.probe import PROTOCOL, probe

__all__ = ["PROTOCOL", "HttpOptions", "probe"]

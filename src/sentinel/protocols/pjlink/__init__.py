"""PJLink, the language of projectors and displays.

``link`` asks and hears, ``readings`` says what is asked and what the answers mean, ``probe`` goes through it.
"""

from sentinel.protocols.pjlink.probe import PROTOCOL, PjlinkOptions, probe

__all__ = ["PROTOCOL", "PjlinkOptions", "probe"]

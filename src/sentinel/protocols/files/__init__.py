"""Files in a directory, over SFTP or on this host: are they there, recent, whole and in order?"""

from sentinel.protocols.files.probe import PROTOCOL

__all__ = ["PROTOCOL"]

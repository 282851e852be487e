"""Free ports for peers that cannot be told to choose one."""

import secrets
import socket

# Below the kernel's ephemeral range (32768 and up), so that no outgoing connection takes the port before its peer does.
FIRST, LAST = 21_200, 31_999


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nothing uses on `host`, over TCP or UDP.

    Chosen with `secrets`, because pytest-randomly seeds `random` alike for every test.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(200):
        port = FIRST + secrets.randbelow(LAST - FIRST + 1)
        try:
            with socket.socket(family, socket.SOCK_STREAM) as tcp, socket.socket(family, socket.SOCK_DGRAM) as udp:
                tcp.bind((host, port))
                udp.bind((host, port))
        except OSError:
            continue
        return port
    message = f"no free port on {host} between {FIRST} and {LAST}"
    raise OSError(message)

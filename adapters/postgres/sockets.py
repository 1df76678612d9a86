"""TCP options that make the kernel notice a peer that vanished without FIN or RST.

The names are those of Linux (https://man7.org/linux/man-pages/man7/tcp.7.html); a system that lacks one does without.
"""

from __future__ import annotations

import socket
from typing import Any

KEEPALIVE_IDLE = 10  # seconds of silence before the first probe
KEEPALIVE_INTERVAL = 5  # seconds between two probes
KEEPALIVE_COUNT = 3  # unanswered probes until the connection counts as dead
UNACKNOWLEDGED = 15  # seconds that sent bytes may stay unacknowledged


def options() -> list[tuple[int, int, int]]:
    """The arguments of `setsockopt` that this system knows: level, name and value of each option."""
    wanted = {
        "TCP_KEEPIDLE": KEEPALIVE_IDLE,
        "TCP_KEEPINTVL": KEEPALIVE_INTERVAL,
        "TCP_KEEPCNT": KEEPALIVE_COUNT,
        "TCP_USER_TIMEOUT": UNACKNOWLEDGED * 1000,
    }
    known = [(getattr(socket, name), value) for name, value in wanted.items() if hasattr(socket, name)]
    return [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        *((socket.IPPROTO_TCP, option, value) for option, value in known),
    ]


def notice_silence(connected: Any) -> None:
    """Sets the options on a TCP socket; any other kind, e.g. one of the Unix domain, is left as it is."""
    if connected is None or connected.family not in (socket.AF_INET, socket.AF_INET6):
        return
    for option in options():
        connected.setsockopt(*option)

"""The stack's ports: wanted ones where they can be had, free ones elsewhere, never two alike."""

import socket
import subprocess
import sys
from dataclasses import astuple

import pytest

from devstack.stack.ports import (
    DEFAULT_PORTS,
    FREE_RANGE,
    LOOPBACK,
    Ports,
    PortSettingInvalid,
    claim_ports,
    free_port,
    is_free,
    wanted_ports,
)


def test_takes_the_wanted_port_when_it_is_free() -> None:
    """A port that nobody listens on is given as wished."""
    wish = free_port()
    assert claim_ports(Ports(api=wish)).api == wish


def test_falls_to_a_free_port_when_the_wanted_one_is_taken() -> None:
    """A listener on the wanted port is left alone, and the part gets another port that can be listened on."""
    with socket.create_server((LOOPBACK, 0)) as other:
        taken = other.getsockname()[1]
        claimed = claim_ports(Ports(api=taken)).api
        assert claimed != taken
        assert is_free(claimed)


def test_gives_every_listener_a_different_port_outside_the_range_of_outgoing_connections() -> None:
    """Without wishes all ports differ, and no client's own connection can occupy one while its part restarts."""
    claimed = astuple(claim_ports(Ports()))
    assert len(set(claimed)) == len(claimed)
    assert all(port in FREE_RANGE for port in claimed)


def test_two_processes_never_get_the_same_port() -> None:
    """Nobody listens yet on the ports that this process has claimed, and still another process is given none."""
    mine = [free_port() for _ in range(3)]
    assert "no free port" in _free_port_elsewhere(mine).stderr
    free = next(port for port in reversed(FREE_RANGE) if port not in mine and is_free(port))
    assert _free_port_elsewhere([*mine, free]).stdout.strip() == str(free)


def _free_port_elsewhere(choice: list[int]) -> subprocess.CompletedProcess[str]:
    """Another process that takes one of these ports."""
    script = (
        "import sys; from devstack.stack import ports\n"
        "class Choice(tuple): start = stop = 0\n"
        "ports.FREE_RANGE = Choice(map(int, sys.argv[1:]))\n"
        "print(ports.free_port())"
    )
    command = [sys.executable, "-c", script, *map(str, choice)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_gives_a_port_wished_twice_to_one_listener_only() -> None:
    """Two settings with the same port do not lead to two parts on it."""
    wish = free_port()
    claimed = claim_ports(Ports(api=wish, postgres=wish))
    assert claimed.api == wish
    assert claimed.postgres != wish


def test_reads_ports_from_settings_and_keeps_the_defaults_of_others() -> None:
    """`ORDERSAGA_<PART>_PORT` replaces one default; 0 asks for any free port; an empty one counts as unset."""
    ports = wanted_ports({"ORDERSAGA_API_PORT": "9000", "ORDERSAGA_POSTGRES_PORT": "0", "ORDERSAGA_STRIPE_PORT": ""})
    assert (ports.api, ports.postgres) == (9000, 0)
    assert (ports.stripe, ports.temporal) == (DEFAULT_PORTS.stripe, DEFAULT_PORTS.temporal)


@pytest.mark.parametrize("text", ["http", "-1", "65536", "80.5"])
def test_refuses_a_port_setting_that_is_no_port(text: str) -> None:
    """The refusal names the setting and what it holds."""
    with pytest.raises(PortSettingInvalid, match=r"ORDERSAGA_API_PORT.*" + text):
        wanted_ports({"ORDERSAGA_API_PORT": text})

"""Ports for servers: free, and none that the system gives to a connection while a server is down."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import socket

from pyarvo.demo.servers import process
from pyarvo.demo.servers.process import free_ports


def test_none_is_given_twice_and_all_lie_below_those_of_connections() -> None:
    ports = free_ports(30) + free_ports(30)
    assert len(set(ports)) == 60
    assert all(10_000 <= port < 32_000 for port in ports)


def test_one_that_somebody_listens_on_is_passed_over() -> None:
    (last,) = free_ports(1)
    taken = process._PORTS[(process._PORTS.index(last) + 1) % len(process._PORTS)]
    with socket.create_server(("127.0.0.1", taken)):
        assert taken not in free_ports(3)

"""Connections: where an attacker comes from, and TLS with or without a certificate."""

import itertools
import socket
import ssl
from dataclasses import dataclass


@dataclass
class Holder:
    """The files of a client certificate, and the domain that it reaches, if any."""

    certificate: str
    key: str
    domain: str = ""


# What a socket that does not block says instead.
WAITS = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

_sources = itertools.count()


def source():
    """Another address of the loopback range each time: a stranger has as many as he wants."""
    number = next(_sources) % 50_000
    return f"127.66.{number // 250}.{number % 250 + 1}"


def context(holder=None, alpn="h2", version=None, ca=None):
    """A client's TLS; with `ca` the server is verified, as honest clients do. `version` is `TLSv1_2` or `TLSv1_3`."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = ca is not None
    made.verify_mode = ssl.CERT_REQUIRED if ca else ssl.CERT_NONE
    if ca:
        made.load_verify_locations(ca)
    if holder:
        made.load_cert_chain(holder.certificate, holder.key)
    if alpn:
        made.set_alpn_protocols([alpn])
    if version:
        made.minimum_version = made.maximum_version = ssl.TLSVersion[version]
    return made


def tcp(address, timeout=10, at=None, receive_buffer=None):
    """A TCP connection from the address `at`, another one each time by default. A small `receive_buffer` makes the
    peer wait sooner."""
    made = socket.socket()
    try:
        made.settimeout(timeout)
        if receive_buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.bind((at or source(), 0))
        made.connect(address)
        return made
    except OSError:
        made.close()
        raise


def tls(address, how, **options):
    """A TLS connection by the context `how`."""
    plain = tcp(address, **options)
    try:
        return how.wrap_socket(plain, server_hostname="127.0.0.1")
    except OSError:
        plain.close()
        raise


def close(*connections):
    for connection in connections:
        try:
            connection.close()
        except OSError:
            pass

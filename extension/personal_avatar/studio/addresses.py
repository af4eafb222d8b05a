"""Which addresses of the network may be called for somebody else, and a POST to exactly the address that was checked.

A name is looked up once; the connection goes to the address that was found, so that a name cannot point elsewhere a
moment later. Proxies of the environment are not used, redirects are not followed.
"""
from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from personal_avatar.errors import BadInput

LONGEST_URL = 2000
MOST_READ = 8192
LOOKUP_S = 5.0
LOOKUPS = threading.BoundedSemaphore(8)  # at the same time; those that nobody waits for any more count until they end
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Iterable[str]]

# IANA's registries of special-purpose addresses. Of IPv6 only 2000::/3 is given out; what embeds an IPv4 address
# (mapped, NAT64, 6to4, Teredo) lies outside of it or is listed here.
SPECIAL_V4 = tuple(map(ipaddress.IPv4Network, (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
)))
# Where clouds give out passwords to their machines, besides link-local addresses: AWS, Google, Oracle, Alibaba, Azure,
# Scaleway. Never called, whatever is allowed.
METADATA = tuple(map(ipaddress.ip_network, (
    "fd00:ec2::/32", "fd20:ce::254/128", "fd00:c1::a9fe:a9fe/128", "192.0.0.192/32", "100.100.100.200/32",
    "168.63.129.16/32", "fd00:42::42/128",
)))
PRIVATE_V6 = ipaddress.IPv6Network("fc00::/7")
GIVEN_OUT_V6 = ipaddress.IPv6Network("2000::/3")
SPECIAL_V6 = tuple(map(ipaddress.IPv6Network, (
    "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
)))


class CallbackRefused(BadInput):
    code, http_status = "CALLBACK_REFUSED", 422


@dataclass(frozen=True)
class Target:
    """Where a callback goes: `address` is what `host` was looked up to, `path` begins with a slash."""

    scheme: str
    host: str
    port: int
    path: str
    address: str


def is_public(address: Address) -> bool:
    """Whether that is one host of the open internet."""
    if _gives_passwords(address):
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in SPECIAL_V4)
    return address in GIVEN_OUT_V6 and not any(address in network for network in SPECIAL_V6)


def is_possible(address: Address) -> bool:
    """Whether private networks may have a receiver there: neither nobody, nor everybody, nor what gives out
    passwords."""
    plain = getattr(address, "ipv4_mapped", None) or address
    if _gives_passwords(plain):
        return False
    if plain.is_loopback or is_public(plain):
        return True
    if isinstance(plain, ipaddress.IPv6Address):
        return plain in PRIVATE_V6
    return not (plain.is_unspecified or plain.is_multicast or plain.is_reserved)


def _gives_passwords(address: Address) -> bool:
    return address.is_link_local or any(address in network for network in METADATA)


def resolved(host: str, port: int) -> list[str]:
    """All addresses of a name, the system's preferred one first; raises `OSError`, also when it takes too long."""
    found: list[str] = []

    def look_up() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend(dict.fromkeys(str(row[4][0]) for row in rows))
        except (OSError, UnicodeError):
            return
        finally:
            LOOKUPS.release()

    if not LOOKUPS.acquire(timeout=LOOKUP_S):
        raise OSError("too many names are being looked up")
    thread = threading.Thread(target=look_up, name="avatar-lookup", daemon=True)
    thread.start()
    thread.join(LOOKUP_S)
    if thread.is_alive() or not found:
        raise OSError(f"{host} was not found")
    return found


def checked(url: str, private: bool = False, resolve: Resolve = resolved) -> Target:
    """Where a URL leads; raises `CallbackRefused`. `private`: addresses of private networks are allowed too."""
    parts = _parts(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        addresses = [ipaddress.ip_address(text) for text in resolve(host, port)]
    except (OSError, ValueError):
        raise CallbackRefused(f"The host {host} of callback_url cannot be found.", "Check its name.") from None
    allowed = is_possible if private else is_public
    if not addresses or not all(allowed(address) for address in addresses):
        raise CallbackRefused(
            f"The host {host} of callback_url is not on the open internet.", None if private else
            "Give a public address, or let whoever runs this allow callbacks into private networks.",
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port, path, str(addresses[0]))


def _parts(url: str) -> SplitResult:
    """The parts of a URL in which nothing can be read in two ways."""
    if not (url.isascii() and url.isprintable()) or " " in url or "\\" in url or len(url) > LONGEST_URL:
        raise CallbackRefused(f"callback_url must be at most {LONGEST_URL} plain characters without spaces.")
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise CallbackRefused("callback_url is not an address of the form https://host/path.")
    if "@" in parts.netloc or "%" in parts.netloc:
        raise CallbackRefused("callback_url must not hold a name, a password or a % in its host.")
    return parts


class _Plain(http.client.HTTPConnection):
    """HTTP to the address that was checked, under the host's name."""

    def __init__(self, target: Target, timeout_s: float) -> None:
        super().__init__(target.host, target.port, timeout=timeout_s)
        self._target = target

    def connect(self) -> None:
        self.sock = socket.create_connection((self._target.address, self._target.port), self.timeout)


class _Encrypted(_Plain):
    """The same through TLS; the certificate must be that of the host's name."""

    def __init__(self, target: Target, timeout_s: float, context: ssl.SSLContext) -> None:
        super().__init__(target, timeout_s)
        self.default_port = http.client.HTTPS_PORT
        self._context = context

    def connect(self) -> None:
        super().connect()
        encrypted = self._context.wrap_socket(
            self.sock, server_hostname=self._target.host, do_handshake_on_connect=False
        )
        self.sock = encrypted
        encrypted.do_handshake()


def post(
    target: Target, body: bytes, headers: Mapping[str, str], limit_s: float, context: ssl.SSLContext | None = None
) -> int:
    """The status of the answer, of which at most some KB are read, or `OSError` or `http.client.HTTPException` raised;
    either after `limit_s` at the latest, however slowly the other side speaks."""
    if target.scheme == "https":
        connection: _Plain = _Encrypted(target, limit_s, context or ssl.create_default_context())
    else:
        connection = _Plain(target, limit_s)
    end = threading.Timer(limit_s, _hang_up, [connection])
    end.daemon = True
    end.start()
    try:
        connection.request("POST", target.path, body, dict(headers))
        answer = connection.getresponse()
        answer.read(MOST_READ)
        return answer.status
    finally:
        end.cancel()
        connection.close()


def _hang_up(connection: http.client.HTTPConnection) -> None:
    """Whoever waits for data on it gets an error at once."""
    with suppress(OSError):
        if connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)

"""Where a key may be sent. Pure."""

from __future__ import annotations


def url_problem(url: str, *, private_network: bool = False) -> str:
    """What is wrong with the base URL of an API, "" = nothing."""
    from urllib.parse import urlsplit

    problem = "not an address such as https://host"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return problem
    if not host or port == 0 or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return problem
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        return "an address without user, password, ? and # is wanted"
    if parts.scheme == "https" or (parts.scheme == "http" and is_near(host, private_network)):
        return ""
    return "https is needed: a key is sent there"


def is_near(host: str, private_network: bool = False) -> bool:
    """Whether the host is this machine, or else an address of a private network."""
    import ipaddress

    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or (private_network and address.is_private)

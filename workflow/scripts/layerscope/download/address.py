"""The hub's address and the variables of a connection, without huggingface_hub.

Importing that ends in a traceback where HF_ENDPOINT is no address.
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit, urlunsplit

from layerscope.core.errors import UserError
from layerscope.runtime.program import HUB_TIMEOUTS

PUBLIC = "https://huggingface.co"
#: What a connection depends on. Their values stay unsaid, since an address may hold a password.
_VARIABLES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "SSLKEYLOGFILE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
)


def variables_set() -> str:
    """Names of variables that say how to connect, as far as they are set."""
    names = [each for name in _VARIABLES for each in (name, name.lower()) if os.environ.get(each)]
    return ", ".join(names) or "settings of the network"


def require_variables() -> None:
    """Stop where variables are wrong with which huggingface_hub cannot even be imported.

    Raises:
        UserError: the address of the hub is none, or a time is no whole number.
    """
    endpoint()
    for name in HUB_TIMEOUTS:
        value = os.environ.get(name, "")
        if value and not value.isdecimal():
            raise UserError(f"{name}: {value!r}; allowed: unset, or whole seconds")


def endpoint() -> str:
    """The hub's address.

    Raises:
        UserError: HF_ENDPOINT is no address.
    """
    address = os.environ.get("HF_ENDPOINT", "").rstrip("/") or PUBLIC
    try:
        parts = urlsplit(address)
        valid = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        valid = False
    if not valid:
        raise UserError(
            f"HF_ENDPOINT: {address.rpartition('@')[2]!r} is not an address; "
            "allowed: unset, or as in 'https://huggingface.co'"
        )
    return address


def shown_endpoint() -> str:
    """The endpoint without a name and a password that it may hold."""
    parts = urlsplit(endpoint())
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

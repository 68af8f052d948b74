"""TLS between nodes: the Basic TLS profile and what is newer, PS3.15 B."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ..errors import CallError

_T = TypeVar("_T")


def client_context(ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    """For one who calls: the other's certificate is checked against `ca`; its name too. `CallError` for bad files."""
    context = _loaded(lambda: ssl.create_default_context(cafile=None if ca is None else str(ca)), ca)
    _show(context, cert, key)
    return context


def server_context(cert: Path, key: Path, ca: Path | None) -> ssl.SSLContext:
    """For one who is called. With `ca`, callers must show a certificate that it signed."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _show(context, cert, key)
    if ca is not None:
        _loaded(lambda: context.load_verify_locations(cafile=str(ca)), ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _show(context: ssl.SSLContext, cert: Path | None, key: Path | None) -> None:
    if cert is not None:
        if key is not None:
            _loaded(key.read_bytes, key)  # OpenSSL does not say which of the two it cannot read
        _loaded(lambda: context.load_cert_chain(str(cert), None if key is None else str(key)), cert)


def _loaded(load: Callable[[], _T], file: Path | None) -> _T:
    try:
        return load()
    except OSError as error:
        raise CallError(f"{file}: is no certificate or key that can be used ({error.strerror or error})") from None

"""requests' transport for TLS: who is trusted is said by our own context alone.

requests lets REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE override what a session verifies against, and trusts certifi's
list where nothing is said.
"""

from __future__ import annotations

from ssl import SSLContext
from typing import Any

from requests import PreparedRequest
from requests.adapters import HTTPAdapter


class TrustingAdapter(HTTPAdapter):
    """Connects with one TLS context, whatever the session or the environment says of verifying."""

    def __init__(self, context: SSLContext) -> None:
        self._context = context
        super().__init__()

    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Which connection serves a request: one with our context, whatever `verify` and `cert` are."""
        host, _ = super().build_connection_pool_key_attributes(request, True)
        return host, {"ssl_context": self._context}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing: what `verify` names would be added to the context."""

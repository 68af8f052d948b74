"""A DIMSE server that callers cannot stop: not by silence, nor by half a PDU, nor by one that claims to be endless.

pynetdicom's own waits for ever for the rest of a PDU, buffers what its header claims, counts a silent connection as an
association, and makes TLS handshakes in the thread that accepts.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from .config import Limits

MAX_PDU = 1 << 18
"""What a P-DATA-TF may hold at most, PS3.8 D.1; it is said in the negotiation."""

_MAX_ANY_PDU = 1 << 20  # a request with 128 contexts of 60 transfer syntaxes each is below half of it
_SLOWEST = 1 << 13  # bytes a second that a message must come at, in the long run: about what ISDN gave
_SILENT_PER_HOST = 16  # connections of one host that have not asked for an association yet
_ASK_SECONDS = 10  # in which they must

_LOG = logging.getLogger("medplug.pacs")


class Entity(AE):
    """An application entity whose associations count from when they are asked for."""

    @property
    def active_associations(self) -> list[Association]:
        """Those that have been asked for."""
        return [one for one in super().active_associations if one.requestor.primitive is not None]


class _Shared(list[PresentationContext]):
    """Contexts that nobody changes: pynetdicom copies a server's for each connection, in 64 ms of processor time."""

    def __deepcopy__(self, memo: dict[int, object]) -> _Shared:
        return self


class Reading:
    """Reads PDUs from a connection, each within a time and a size, and a message within a size and at a rate."""

    def __init__(self, connection: Any, limits: Limits) -> None:
        self._connection, self._limits = connection, limits
        self._taken, self._begun = 0, time.monotonic()

    def __call__(self, count: int) -> bytearray:
        """Read `count` bytes, fewer at the end. Raises `OSError`, upon which the connection is closed, for too much."""
        if not self._taken:
            self._begun = time.monotonic()
        late = time.monotonic() - self._begun - self._limits.silent_seconds
        if late > 0 and self._taken < late * _SLOWEST:
            _LOG.warning("a caller sent less than %d bytes a second; it was cut off", _SLOWEST)
            raise OSError("too slow")
        self._taken += count
        if count > _MAX_ANY_PDU or self._taken > self._limits.instance_mib << 20:
            _LOG.warning("a caller sent more than limits.instance_mib, or a PDU that is none; it was cut off")
            raise OSError("too much")
        end = time.monotonic() + self._limits.silent_seconds
        found = bytearray()
        try:
            while len(found) < count:
                self._connection.settimeout(max(end - time.monotonic(), 0.001))
                more = self._connection.recv(count - len(found))
                if not more:
                    break
                found += more
        finally:
            self._connection.settimeout(self._limits.silent_seconds)  # for what is sent
        return found

    def message_done(self) -> None:
        """The next message begins to count."""
        self._taken = 0


class _Handler(RequestHandler):
    """One connection, in a thread of its own."""

    server: Server

    def handle(self) -> None:
        """Take up TLS, then wait for the request of an association."""
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # an answer does not wait for the next
        self.request.settimeout(min(_ASK_SECONDS, self.server.limits.silent_seconds))
        if self.server.tls is not None:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
        self.server.silent(self.request, self.client_address[0])
        if self.server.tls is not None:
            try:
                self.request.do_handshake()
            except OSError:
                self.request.close()
                raise
        super().handle()

    def _create_association(self) -> Association:
        made = super()._create_association()
        transport: Any = made.dul.socket
        transport.recv = Reading(self.request, self.server.limits)
        return made


class Server(ThreadedAssociationServer):
    """Listens. Of a host that opens connections and says nothing, the oldest are closed."""

    daemon_threads = True

    def __init__(
        self,
        entity: Entity,
        address: tuple[str, int],
        contexts: list[PresentationContext],
        handlers: list[Any],
        tls: ssl.SSLContext | None,
        limits: Limits,
    ) -> None:
        self.tls, self.limits = tls, limits
        self._lock = threading.Lock()
        self._silent: dict[Any, str] = {}  # connections and their hosts, the oldest first
        shared = _Shared(contexts)
        super().__init__(entity, address, entity.ae_title, shared, evt_handlers=handlers, request_handler=_Handler)

    def silent(self, connection: Any, host: str) -> None:
        """Note a connection that has not said anything."""
        with self._lock:
            self._silent = {one: owner for one, owner in self._silent.items() if one.fileno() >= 0}
            own = [one for one, owner in self._silent.items() if owner == host]
            for oldest in own[: len(own) + 1 - _SILENT_PER_HOST]:
                del self._silent[oldest]
                with suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)
            self._silent[connection] = host

    def hang_up(self) -> None:
        """Close what is silent."""
        with self._lock:
            for one in self._silent:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def asked(self, association: Association) -> None:
        """A connection has asked for an association: it is silent no more."""
        with self._lock:
            transport: Any = association.dul.socket
            self._silent.pop(transport.socket, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that came to nothing, such as a handshake that failed, costs itself."""
        _LOG.info("a connection from %s came to nothing", client_address[0])

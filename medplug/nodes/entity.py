"""pynetdicom's application entity as a caller, without two faults of it.

Where nobody answers, it leaves its socket open. And its reactor, which looks for what the peer may say unasked, reads
the queue once more after it was told to pause: it may take the answer that a call then waits for in vain.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from ssl import SSLContext

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.transport import AddressInformation, AssociationSocket


class _Socket(AssociationSocket):
    def _shutdown_socket(self) -> None:
        super()._shutdown_socket()
        if self.socket is not None:
            with suppress(OSError):
                self.socket.close()  # not done above where there was no connection to shut down


class _Checkpoint(threading.Event):
    """Where the reactor waits: for as long as the association is used, because a caller's peer says nothing unasked."""

    def set(self) -> None:
        return

    def open(self) -> None:
        """Let the reactor go on, which ends with the association."""
        super().set()


class Entity(AE):
    """An application entity that calls. Whoever uses an association of it says `ended` in the end."""

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[SSLContext, str] | None
    ) -> AssociationSocket:
        assoc._reactor_checkpoint = _Checkpoint()
        made = _Socket(assoc, address=address)
        assert made.socket is not None
        made.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a request's command and data go at once
        if tls_args is not None:
            made.tls_args = tls_args
        return made


def ended(association: Association) -> None:
    """Let the threads of an association end."""
    checkpoint = association._reactor_checkpoint
    if isinstance(checkpoint, _Checkpoint):
        checkpoint.open()

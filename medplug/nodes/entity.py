"""pynetdicom's application entity as a caller, without the socket that it leaves open where nobody answers."""

from __future__ import annotations

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


class Entity(AE):
    """An application entity that calls."""

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[SSLContext, str] | None
    ) -> AssociationSocket:
        made = _Socket(assoc, address=address)
        if tls_args is not None:
            made.tls_args = tls_args
        return made

"""The storage SCP: an instance is acknowledged when it is on the disk and in the queue, and not before."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
import zlib
from io import BytesIO
from typing import Any, NamedTuple

from ..nodes.dimse import VERIFICATION
from ..nodes.tls import server_context
from ..sources.dicom_values import is_uid
from ..sources.refusal import quiet
from .config import ListenConfig
from .ledger import short
from .server import MAX_PDU, Entity, Reading, Server
from .spool import Spool

# Statuses of C-STORE, PS3.4 B.2.3
SUCCESS, OUT_OF_RESOURCES, MISMATCH, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xA900, 0xC000

# Transfer syntaxes whose datasets are not Explicit VR Little Endian, PS3.5 A
IMPLICIT, BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"

OURS = (
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture Image
    "1.2.840.10008.5.1.4.1.1.30",  # Parametric Map
    "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation
    "1.2.840.10008.5.1.4.1.1.88.34",  # Comprehensive 3D SR
)
"""What medplug's writers write, PS3.4 B.5: of these, what names `medplug` as its manufacturer is an answer."""

_CLASS_TAG, _INSTANCE_TAG, _MAKER_TAG, _STUDY_TAG = 0x00080016, 0x00080018, 0x00080070, 0x0020000D
_HEAD = 1 << 22  # of a dataset, in which these must lie
_LOG = logging.getLogger("medplug.pacs")
_ELSEWHERE = ("1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.204", "1.2.840.10008.1.2.4.205")
"""JPIP: the pixels are not in the instance."""


class Receiver:
    """Takes instances into a spool."""

    def __init__(self, config: ListenConfig, spool: Spool) -> None:
        self._config, self._spool = config, spool
        self._stopping = False
        self._storing = 0
        self._idle = threading.Condition()
        self._server: Server | None = None

    def start(self) -> None:
        """Listen. Raises `OSError` where the port is taken, `CallError` for certificates that cannot be used."""
        from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, build_context, evt

        config, limits = self._config, self._config.limits
        entity = Entity(config.ae_title)
        entity.require_called_aet = True
        entity.require_calling_aet = [] if config.calling == "any" else list(config.calling)
        entity.maximum_associations = limits.associations
        entity.maximum_pdu_size = MAX_PDU
        entity.acse_timeout = 10
        entity.dimse_timeout = entity.network_timeout = limits.silent_seconds
        syntaxes = [syntax for syntax in ALL_TRANSFER_SYNTAXES if syntax not in _ELSEWHERE]
        contexts = [build_context(str(one.abstract_syntax), syntaxes) for one in AllStoragePresentationContexts]
        tls = None if config.tls is None else server_context(config.tls.cert, config.tls.key, config.tls.ca)
        handlers: list[Any] = [
            (evt.EVT_C_ECHO, self._echoed),
            (evt.EVT_C_STORE, self._stored),
            (evt.EVT_REQUESTED, lambda event: event.assoc._server.asked(event.assoc)),
        ]
        contexts.append(build_context(VERIFICATION))
        self._server = Server(entity, (config.bind, config.port), contexts, handlers, tls, limits)
        entity._servers.append(self._server)
        threading.Thread(target=self._server.serve_forever, name="medplug-accept", daemon=True).start()

    def stop(self, seconds: float = 30) -> None:
        """Take no more; let what is being stored be finished and acknowledged."""
        server, self._server = self._server, None
        if server is None:
            return
        self._stopping = True
        associations = server.active_associations
        server.shutdown()
        server.hang_up()
        with self._idle:
            self._idle.wait_for(lambda: not self._storing, timeout=seconds)
        time.sleep(0.1)  # the answer to the last one goes out
        for one in associations:
            if one.is_alive():
                one.abort()

    def _echoed(self, event: Any) -> int:
        """Answer a C-ECHO."""
        _done(event)
        return SUCCESS

    def _stored(self, event: Any) -> int:
        """Answer a C-STORE."""
        with self._idle:
            if self._stopping:
                return OUT_OF_RESOURCES
            self._storing += 1
        try:
            return self._store(event)
        finally:
            _done(event)
            with self._idle:
                self._storing -= 1
                self._idle.notify_all()

    def _store(self, event: Any) -> int:
        from pynetdicom.dsutils import encode_file_meta

        request = event.request
        stated = _stated(event)
        if stated is None:
            _LOG.warning("an instance was refused: it states no study, or cannot be read")
            return NOT_UNDERSTOOD
        uid = str(request.AffectedSOPInstanceUID)
        if (stated.uid, stated.sop_class) != (uid, str(request.AffectedSOPClassUID)):
            _LOG.warning("an instance was refused: it is another one than its request says")
            return MISMATCH
        if stated.maker == "medplug" and stated.sop_class in OURS:  # of another queue, or of one that was lost
            return SUCCESS
        head = b"\0" * 128 + b"DICM" + encode_file_meta(event.file_meta)
        try:
            new = self._spool.take(
                stated.study, uid, (head, request.DataSet.getbuffer()), self._config.limits.reserve_mib << 20
            )
        except (OSError, sqlite3.Error) as error:
            _LOG.error("an instance was refused: it cannot be kept (%s: %s)", type(error).__name__, _why(error))
            return OUT_OF_RESOURCES
        if new:
            _LOG.debug("study %s: an instance", short(stated.study))
        return SUCCESS


def _done(event: Any) -> None:
    """A message was read to its end."""
    reading = event.assoc.dul.socket and event.assoc.dul.socket.recv
    if isinstance(reading, Reading):
        reading.message_done()


class _Stated(NamedTuple):
    """What a dataset states of itself."""

    study: str
    uid: str
    sop_class: str
    maker: str


def _stated(event: Any) -> _Stated | None:
    """What the head of a dataset states; None where it lacks a UID or cannot be read."""
    from pydicom.filereader import read_dataset

    try:
        syntax, stream = event.context.transfer_syntax, event.request.DataSet
        if syntax == DEFLATED:
            stream = BytesIO(zlib.decompressobj(-zlib.MAX_WBITS).decompress(stream.getbuffer(), _HEAD))
        else:
            stream = BytesIO(stream.getbuffer()[:_HEAD])  # a million elements before them cost seconds
        with quiet():
            dataset = read_dataset(
                stream,
                syntax == IMPLICIT,
                syntax != BIG_ENDIAN,
                stop_when=lambda tag, *_: tag > _STUDY_TAG,
                specific_tags=[_CLASS_TAG, _INSTANCE_TAG, _MAKER_TAG, _STUDY_TAG],
            )
            uids = str(dataset.StudyInstanceUID), str(dataset.SOPInstanceUID), str(dataset.SOPClassUID)
            found = _Stated(*uids, str(dataset.get("Manufacturer") or ""))
    except Exception:  # whatever a damaged dataset brings
        return None
    return found if all(map(is_uid, uids)) else None


def _why(error: Exception) -> str:
    return error.strerror or "" if isinstance(error, OSError) else str(error)

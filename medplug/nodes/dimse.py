"""DIMSE as its user (SCU): associations that propose only what is wanted, C-ECHO, C-FIND, C-GET and C-STORE."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import NodeError
from .address import Address
from .broke_off import BrokeOffError
from .needs import needs
from .tls import client_context

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pynetdicom.association import Association

MAX_CONTEXTS = 128
"""Presentation contexts of one association: their ids are the odd numbers of a byte, PS3.8 9.3.2.2."""

VERIFICATION = "1.2.840.10008.1.1"
STUDY_ROOT_FIND, STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.3"

_CR_DX_MG, _CT, _MR, _US = ("1", "1.1", "1.2"), ("2", "2.1"), ("4", "4.1"), ("3.1", "6.1")
_SC, _XA_RF, _MORE = ("7", "7.2", "7.3", "7.4"), ("12.1", "12.2"), ("13.1.3", "20", "128")
IMAGES = tuple(f"1.2.840.10008.5.1.4.1.1.{end}" for end in _CR_DX_MG + _CT + _MR + _US + _SC + _XA_RF + _MORE)
"""The SOP classes of usual images; those of `_MORE` are tomosynthesis, NM and PET."""

_NO_IMAGES = (
    *("1.2.840.10008.1.2.4.10", "1.2.840.10008.1.2.7."),  # video
    *("1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.204", "1.2.840.10008.1.2.4.205"),  # JPIP
)

CONNECT_SECONDS, ANSWER_SECONDS = 10, 60

_RECORD = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
_PENDING = (0xFF00, 0xFF01)  # PS3.4 C.4.1.1.4

Context = tuple[str, tuple[str, ...]]
"""An abstract syntax and the transfer syntaxes that are proposed for it."""


@contextmanager
def association(
    node: Address, contexts: Iterable[Context], *, on_store: Callable[[Any], int] | None = None
) -> Iterator[Association]:
    """An association that is released at the end. Raises `NodeError`.

    With `on_store`, the node may send instances of all contexts but the first over it, for C-GET (PS3.7 D.3.3.4).
    """
    needs("pynetdicom")
    from pynetdicom import build_context, build_role, evt

    from .entity import Entity, ended

    ae = Entity(node.calling)
    ae.acse_timeout = ae.connection_timeout = CONNECT_SECONDS
    ae.dimse_timeout = ae.network_timeout = ANSWER_SECONDS
    wanted = list(contexts)
    proposed = [build_context(syntax, list(transfer)) for syntax, transfer in wanted]
    handlers: list[Any] = [] if on_store is None else [(evt.EVT_C_STORE, on_store)]
    stored = dict.fromkeys(syntax for syntax, _ in wanted[1:]) if on_store is not None else {}
    tls = (client_context(node.ca, node.cert, node.key), node.host) if node.tls else None
    try:
        made = ae.associate(
            node.host,
            node.port,
            contexts=proposed,
            ae_title=node.title,
            ext_neg=[build_role(syntax, scp_role=True) for syntax in stored],
            evt_handlers=handlers,
            tls_args=tls,
        )
    except OSError:
        raise NodeError(f"{node}: no host with this name is known") from None
    try:
        if not made.is_established:
            raise NodeError(f"{node}: {_why_not(made, node)}")
        yield made
    finally:
        if made.is_established:
            made.release()
        ended(made)


def echo(node: Address) -> None:
    """C-ECHO, PS3.4 A. Raises `NodeError`."""
    with association(node, [(VERIFICATION, _uncompressed())]) as made:
        status = made.send_c_echo()
        if getattr(status, "Status", None) != 0:
            raise NodeError(f"{node}: does not answer to an echo")


def find(node: Address, made: Association, level: str, keys: Mapping[str, str], *more: str) -> list[Dataset]:
    """C-FIND in the Study Root model, PS3.4 C.4.1: what matches `keys`, with its unique key and `more`."""
    from pydicom.dataset import Dataset

    query = Dataset()
    query.QueryRetrieveLevel = level
    for keyword in (_RECORD[level], *more):
        setattr(query, keyword, "")
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    found = []
    for status, match in made.send_c_find(query, STUDY_ROOT_FIND):
        code = getattr(status, "Status", None)
        if code in _PENDING and match is not None:
            if not match.get(_RECORD[level]):
                raise NodeError(f"{node}: answers a query for {level} with what has no {_RECORD[level]}")
            found.append(match)
        elif code != 0:
            said = "broke off" if code is None else f"answered 0x{code:04X}"
            raise NodeError(f"{node}: {said} when {node.calling} asked it for {level}: may it ask there?")
    return found


def get(node: Address, made: Association, study: str, series: str) -> None:
    """C-GET of a series, PS3.4 C.4.3; its instances come to the association's `on_store`. A failure shows in them."""
    from pydicom.dataset import Dataset

    wanted = Dataset()
    wanted.QueryRetrieveLevel = "SERIES"
    wanted.StudyInstanceUID, wanted.SeriesInstanceUID = study, series
    try:
        for _ in made.send_c_get(wanted, STUDY_ROOT_GET):
            continue
    except ValueError:  # it did not accept the context
        raise NodeError(f"{node}: does not give studies by C-GET") from None


def store(node: Address, made: Association, file: Path) -> int | str:
    """C-STORE of a file as it is, without decoding it: its status, or in words why it was not sent.

    Raises `BrokeOffError` where no answer comes; the association is of no more use then.
    """
    if not made.is_established:
        raise BrokeOffError(node, "broke off before it was sent")
    with _as_it_is():
        try:
            status = made.send_c_store(file)
        except ValueError:  # no context of the file's class and transfer syntax was accepted
            return "its SOP class in its transfer syntax is not accepted there"
        except (RuntimeError, AttributeError, OSError) as error:
            return f"cannot be sent ({type(error).__name__})"
    code: int | None = getattr(status, "Status", None)
    if code is None:
        raise BrokeOffError(node, "broke off while it was sent")
    return code


def retrievals(classes: Iterable[str]) -> Iterator[list[Context]]:
    """What C-GETs of instances of these classes propose, an association each; an empty class is one that nobody states.

    Each compressed transfer syntax is proposed by itself, so that none is recoded; those of video are not.
    """
    from pynetdicom import ALL_TRANSFER_SYNTAXES

    plain = _uncompressed()
    compressed = [uid for uid in ALL_TRANSFER_SYNTAXES if uid not in plain and not uid.startswith(_NO_IMAGES)]
    wanted = sorted({one for uid in classes for one in ([uid] if uid else IMAGES)})
    together = (MAX_CONTEXTS - 1) // (1 + len(compressed))
    for begin in range(0, len(wanted), together):
        some = wanted[begin : begin + together]
        alone = [(uid, (syntax,)) for syntax in compressed for uid in some]
        yield [(STUDY_ROOT_GET, plain), *((uid, plain) for uid in some), *alone]


def query_context() -> Context:
    """What a C-FIND proposes."""

    return STUDY_ROOT_FIND, _uncompressed()


def _uncompressed() -> tuple[str, ...]:
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    return ExplicitVRLittleEndian, ImplicitVRLittleEndian


def _why_not(made: Association, node: Address) -> str:
    from pynetdicom.pdu_primitives import A_ASSOCIATE

    answer = made.acceptor.primitive or made.dul.peek_next_pdu()  # pynetdicom overlooks an answer that is very quick
    if isinstance(answer, A_ASSOCIATE) and answer.result in (1, 2):
        return f"rejects the association: {answer.reason_str} (called {node.title}, calling {node.calling})"
    if isinstance(answer, A_ASSOCIATE):
        return "accepts nothing of what is proposed to it"
    return "cannot be reached: is it running, is the port right" + (", do the certificates fit?" if node.tls else "?")


_chunked_lock = threading.Lock()
_chunked_users = 0


@contextmanager
def _as_it_is() -> Iterator[None]:
    """Let pynetdicom send files without decoding them; its switch is the process's, so users are counted."""
    from pynetdicom import _config

    global _chunked_users
    with _chunked_lock:
        _chunked_users += 1
        _config.STORE_SEND_CHUNKED_DATASET = True
    try:
        yield
    finally:
        with _chunked_lock:
            _chunked_users -= 1
            _config.STORE_SEND_CHUNKED_DATASET = _chunked_users > 0

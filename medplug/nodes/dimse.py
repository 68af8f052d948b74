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
            found.append(match)
        elif code != 0:
            said = "broke off" if code is None else f"answered 0x{code:04X}"
            raise NodeError(f"{node}: {said} when {node.calling} asked it for {level}: may it ask there?")
    return found


def get(made: Association, study: str, series: str) -> None:
    """C-GET of a series, PS3.4 C.4.3; its instances come to the association's `on_store`. A failure shows in them."""
    from pydicom.dataset import Dataset

    wanted = Dataset()
    wanted.QueryRetrieveLevel = "SERIES"
    wanted.StudyInstanceUID, wanted.SeriesInstanceUID = study, series
    for _ in made.send_c_get(wanted, STUDY_ROOT_GET):
        continue


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


def retrieval_contexts(classes: Iterable[str]) -> list[Context]:
    """What a C-GET of instances of these classes proposes: each transfer syntax by itself, so that none is recoded."""
    from pynetdicom import ALL_TRANSFER_SYNTAXES

    wanted = sorted(set(classes))
    plain, compressed = _uncompressed(), [uid for uid in ALL_TRANSFER_SYNTAXES if uid not in _uncompressed()]
    contexts: list[Context] = [(STUDY_ROOT_GET, plain)]
    contexts += [(uid, plain) for uid in wanted]
    contexts += [(uid, (syntax,)) for syntax in compressed for uid in wanted]
    return contexts[:MAX_CONTEXTS]


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

"""Files to a node, by C-STORE or STOW-RS: in their order, as they are, each with its own outcome."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ..errors import CallError
from ..nodes import Address, dicomweb, dimse
from ..nodes.broke_off import BrokeOffError
from ..nodes.words import in_words
from ..sources.refusal import name_of, quiet
from ..sources.walk import Kind, files_below, kind_of

Outcome = int | str | BrokeOffError
"""What a node makes of a file: a C-STORE status, or in words why it was not sent or stored, or its end."""

_IN_A_ROW = 3
"""So many files in a row on which a node breaks off, and it is not the files' fault."""

DUPLICATE = 0x0111
"""The node has an instance with this UID, PS3.7 C.5.6; as a failure reason of STOW-RS it is the same number."""


@dataclass(frozen=True)
class Sent:
    """What became of one file: stored where `refused` is None, else why not. `note` is a warning of the node's.

    `status` is the node's answer in C-STORE's numbers, None where it was not asked.
    """

    path: Path
    refused: str | None = None
    note: str | None = None
    status: int | None = None


@dataclass(frozen=True)
class Outgoing:
    """A DICOM file to send, and what it says of itself; or `refused`, why it cannot be sent."""

    path: Path
    sop_class: str = ""
    transfer_syntax: str = ""
    sop_instance: str = ""
    refused: str | None = None


def send(files: str | Path | Iterable[str | Path], to: str | Address) -> Iterator[Sent]:
    """Send files and what DICOM lies in folders to a node; yield what became of each, in their order.

    A named file that is no DICOM is refused; found in a folder it is passed over. Raises `CallError` at once for an
    address or a path that is wrong, and `NodeError` as `deliver` does: what was yielded was sent.
    """
    node = to if isinstance(to, Address) else Address.parse(to)
    return deliver(list(outgoing(files)), node)


def outgoing(files: str | Path | Iterable[str | Path]) -> Iterator[Outgoing]:
    """What there is to send. Raises `CallError` for a path that does not exist."""
    for one in [files] if isinstance(files, str | Path) else files:
        path = Path(one)
        if path.is_dir():
            yield from (_described(file) for file in files_below(path) if file.is_file() and _is_dicom(file))
        elif not path.exists():
            raise CallError(f"{name_of(path)} does not exist")
        elif not path.is_file() or not _is_dicom(path):
            yield Outgoing(path, refused="is no DICOM file")
        else:
            yield _described(path)


def deliver(files: Sequence[Outgoing], node: Address) -> Iterator[Sent]:
    """Send files to a node. One on which it breaks off is refused, and the rest goes to it all the same.

    Raises `NodeError` where it cannot be talked to, or broke off on three files in a row.
    """
    in_a_row = 0
    with closing((_by_web if node.web else _by_dimse)(files, node)) as outcomes:
        for file, outcome in outcomes:
            in_a_row = in_a_row + 1 if isinstance(outcome, BrokeOffError) else 0
            if isinstance(outcome, BrokeOffError) and in_a_row == _IN_A_ROW:
                raise outcome
            yield _said(file.path, outcome)


def batches(files: Iterable[Outgoing]) -> Iterator[list[Outgoing]]:
    """Files in their order, as many together as one association has presentation contexts for."""
    batch: list[Outgoing] = []
    contexts: set[tuple[str, str]] = set()
    for file in files:
        wanted = contexts if file.refused else contexts | {(file.sop_class, file.transfer_syntax)}
        if len(wanted) > dimse.MAX_CONTEXTS:
            yield batch
            batch, wanted = [], {(file.sop_class, file.transfer_syntax)}
        batch.append(file)
        contexts = wanted
    if batch:
        yield batch


def _by_dimse(files: Sequence[Outgoing], node: Address) -> Generator[tuple[Outgoing, Outcome]]:
    for batch in batches(files):
        pairs = dict.fromkeys((file.sop_class, file.transfer_syntax) for file in batch if not file.refused)
        left = deque(batch)
        while left:
            if refused := left[0].refused:
                yield left.popleft(), refused
                continue
            with dimse.association(node, [(sop_class, (syntax,)) for sop_class, syntax in pairs]) as made:
                while left:
                    file = left.popleft()
                    outcome = file.refused or _outcome(partial(dimse.store, node, made, file.path))
                    yield file, outcome
                    if isinstance(outcome, BrokeOffError):
                        break  # over a new association it goes on


def _by_web(files: Sequence[Outgoing], node: Address) -> Generator[tuple[Outgoing, Outcome]]:
    session = dicomweb.session(node)
    for file in files:
        yield file, file.refused or _outcome(partial(dicomweb.store, node, session, file.path, file.sop_instance))


def _outcome(store: Callable[[], int | str]) -> Outcome:
    try:
        with quiet():
            return store()
    except BrokeOffError as error:
        return error


def _said(path: Path, outcome: Outcome) -> Sent:
    """0x0000 is success, 0xBxxx a warning with which the instance is stored (PS3.4 B.2.3), all else a refusal."""
    if isinstance(outcome, BrokeOffError):
        return Sent(path, f"the node {outcome.reason}")
    if isinstance(outcome, str):
        return Sent(path, outcome)
    if outcome == 0:
        return Sent(path, status=outcome)
    words = in_words(outcome)
    return Sent(path, note=words, status=outcome) if outcome >> 12 == 0xB else Sent(path, words, status=outcome)


def _is_dicom(path: Path) -> bool:
    try:
        return kind_of(path) is Kind.DICOM
    except OSError:
        return True  # it will be said why it cannot be read


def _described(path: Path) -> Outgoing:
    from pydicom.errors import InvalidDicomError
    from pydicom.filereader import read_file_meta_info

    try:
        with quiet():
            meta = read_file_meta_info(path)
            found = Outgoing(
                path,
                str(meta.MediaStorageSOPClassUID),
                str(meta.TransferSyntaxUID),
                str(meta.get("MediaStorageSOPInstanceUID") or ""),
            )
    except (InvalidDicomError, AttributeError):
        return Outgoing(path, refused="has no File Meta Information that says what it is")
    except Exception as error:  # whatever a damaged file, or one that may not be read, brings
        return Outgoing(path, refused=f"cannot be read ({type(error).__name__})")
    if not found.sop_instance:
        return replace(found, refused="has no File Meta Information that says what it is")
    return found

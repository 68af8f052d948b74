"""Files to a node, by C-STORE or STOW-RS: in their order, as they are, each with its own outcome."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import CallError
from ..nodes import Address, dicomweb, dimse
from ..nodes.words import in_words
from ..sources.refusal import name_of, quiet
from ..sources.walk import Kind, files_below, kind_of


@dataclass(frozen=True)
class Sent:
    """What became of one file: stored where `refused` is None, else why not. `note` is a warning of the node's."""

    path: Path
    refused: str | None = None
    note: str | None = None


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
    address or a path that is wrong, and `NodeError` where the node cannot be talked to: what was yielded was sent.
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
    """Send files to a node. Raises `NodeError`."""
    yield from (_by_web if node.web else _by_dimse)(files, node)


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


def _by_dimse(files: Sequence[Outgoing], node: Address) -> Iterator[Sent]:
    for batch in batches(files):
        pairs = dict.fromkeys((file.sop_class, file.transfer_syntax) for file in batch if not file.refused)
        if not pairs:
            yield from (Sent(file.path, file.refused) for file in batch)
            continue
        with dimse.association(node, [(sop_class, (syntax,)) for sop_class, syntax in pairs]) as made:
            for file in batch:
                if file.refused:
                    yield Sent(file.path, file.refused)
                    continue
                with quiet():
                    outcome = dimse.store(node, made, file.path)
                yield _said(file.path, outcome)


def _by_web(files: Sequence[Outgoing], node: Address) -> Iterator[Sent]:
    session = dicomweb.session(node)
    for file in files:
        if file.refused:
            yield Sent(file.path, file.refused)
            continue
        yield _said(file.path, dicomweb.store(node, session, file.path, file.sop_instance))


def _said(path: Path, status: int | str) -> Sent:
    """0x0000 is success, 0xBxxx a warning with which the instance is stored (PS3.4 B.2.3), all else a refusal."""
    if isinstance(status, str):
        return Sent(path, status)
    if status == 0:
        return Sent(path)
    return Sent(path, note=in_words(status)) if status >> 12 == 0xB else Sent(path, in_words(status))


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

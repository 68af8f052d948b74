"""The few elements of a header that are read here, found without parsing the others: most of a header is passed over.

What is found is what pydicom would find, made by pydicom's own conversion; whatever is unusual is left to pydicom.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .dicom_elements import (
    CHARACTER_SET,
    PIXEL_KEYWORDS,
    Stored,
    dataset_of,
    dictionary_vr,
    encodings_of,
    file_meta_of,
    own_tags,
    wanted_tags,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

PREAMBLE_BYTES = 132  # and "DICM", PS3.10 7.1
UNDEFINED_LENGTH = 0xFFFFFFFF

_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())  # PS3.5 7.1.2
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_HEADER_BYTES = dict.fromkeys(_SHORT, 8) | dict.fromkeys(_LONG, 12)
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD  # PS3.5 7.5
_MAX_DEPTH = 16

_explicit, _implicit, _long_length = struct.Struct("<HH2sH"), struct.Struct("<HHL"), struct.Struct("<L")


class BeyondError(Exception):
    """What is read lies behind the head."""


class _UnusualError(Exception):
    """What pydicom shall read: a header that is damaged or rare."""


@dataclass(frozen=True, eq=False)
class Scanned:
    """The elements of `KEYWORDS` that a header holds, and where its pixels lie.

    `shared` is what they are without `OWN_KEYWORDS`, to compare headers by.
    """

    dataset: Dataset
    shared: Hashable
    pixel_keyword: str
    pixel_length: int
    pixel_offset: int


def scan(head: bytes) -> Scanned | None:
    """Scan the beginning of a file; None where it is unusual. Raises `BeyondError` where it ends before the pixels."""
    if head[128:PREAMBLE_BYTES] != b"DICM":
        return None
    try:
        meta, at = _meta_elements(head)
        file_meta = file_meta_of(*meta)
        syntax = file_meta.get("TransferSyntaxUID")
        if not _is_usual(syntax):
            return None
        walk = _Walk(head, implicit=syntax.is_implicit_VR)
        tag, length, offset = walk.to_pixels(at)
        dataset = dataset_of(walk.found, file_meta, walk.implicit)
        shared = (meta, *(one for one in walk.found if one[0] not in own_tags()))
        return Scanned(dataset, shared, PIXEL_KEYWORDS[tag], length, offset)
    except _UnusualError:
        return None
    except struct.error:
        raise BeyondError from None


def _is_usual(syntax: Any) -> bool:
    """Whether the dataset is little-endian and lies in the file as it is."""
    from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

    return (
        isinstance(syntax, UID)
        and not syntax.is_private
        and syntax.is_transfer_syntax
        and syntax not in (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)
    )


def _meta_elements(head: bytes) -> tuple[tuple[Stored, ...], int]:
    """The transfer syntax and the SOP class of the file meta (PS3.10 7.1), and where the dataset begins."""
    found: list[Stored] = []
    at = PREAMBLE_BYTES
    while True:
        group, element, vr, length = _explicit.unpack_from(head, at)
        if group != 2:
            return tuple(found), at
        size = _HEADER_BYTES.get(vr)
        if size is None:
            raise _UnusualError
        if size == 12:
            (length,) = _long_length.unpack_from(head, at + 8)
        at += size
        if element == 0 and (vr, length) != (b"UL", 4):
            raise _UnusualError
        if element in (0x0002, 0x0010):
            found.append((0x00020000 | element, vr, head[at : at + length]))
        at += length


class _Walk:
    """One pass over the elements of a dataset. Raises `_UnusualError`, or `struct.error` where the head ends."""

    def __init__(self, head: bytes, *, implicit: bool) -> None:
        self._head, self.implicit = head, implicit
        self.found: list[Stored] = []

    def to_pixels(self, at: int) -> tuple[int, int, int]:
        """Collect what is wanted from `at` on; return the pixels' tag, length and place."""
        head, wanted, last = self._head, wanted_tags(), 0x0007FFFF
        if self.implicit and self._looks_explicit(at):
            raise _UnusualError
        explicit, sizes = not self.implicit, _HEADER_BYTES
        while True:
            # As `_element` does, which would take as long as all the rest.
            if explicit:
                group, element, vr, length = _explicit.unpack_from(head, at)
                size = sizes.get(vr)
                if size is None:
                    raise _UnusualError
                if size == 12:
                    (length,) = _long_length.unpack_from(head, at + 8)
                at += size
            else:
                group, element, length = _implicit.unpack_from(head, at)
                vr = None
                at += 8
            tag = group << 16 | element
            if tag <= last:  # a command set, elements out of order
                raise _UnusualError
            last = tag
            if tag in wanted:
                if length == UNDEFINED_LENGTH or (wanted[tag] and length):
                    raise _UnusualError
                self.found.append((tag, vr, head[at : at + length]))
            elif tag in PIXEL_KEYWORDS:
                return tag, length, at
            if length == UNDEFINED_LENGTH:
                at = self._past_sequence(tag, vr, at, 0)
            else:
                at += length

    def _element(self, at: int) -> tuple[int, bytes | None, int, int]:
        """Tag, VR (None where it is implicit), length and place of an element's value."""
        if self.implicit:
            group, element, length = _implicit.unpack_from(self._head, at)
            return group << 16 | element, None, length, at + 8
        group, element, vr, length = _explicit.unpack_from(self._head, at)
        size = _HEADER_BYTES.get(vr)
        if size is None:
            raise _UnusualError
        if size == 12:
            (length,) = _long_length.unpack_from(self._head, at + 8)
        return group << 16 | element, vr, length, at + size

    def _past_sequence(self, tag: int, vr: bytes | None, at: int, depth: int) -> int:
        """Where a sequence of undefined length ends, PS3.5 7.5.1; as pydicom, all elements in it are walked."""
        if depth > _MAX_DEPTH or not (vr == b"SQ" or (vr is None and self._is_sequence(tag, at))):
            raise _UnusualError
        while True:
            group, element, length = _implicit.unpack_from(self._head, at)
            at += 8
            item = group << 16 | element
            if item == _SEQUENCE_END and length == 0:
                return at
            if item != _ITEM:
                raise _UnusualError
            at = self._past_item(at, None if length == UNDEFINED_LENGTH else at + length, depth)

    def _past_item(self, at: int, end: int | None, depth: int) -> int:
        first = True
        while end is None or at < end:
            if end is None and _implicit.unpack_from(self._head, at) == (_ITEM_END >> 16, _ITEM_END & 0xFFFF, 0):
                return at + 8
            if first and not self.implicit and not self._looks_explicit(at):
                raise _UnusualError
            first = False
            tag, vr, length, at = self._element(at)
            if tag >> 16 == 0xFFFE:
                raise _UnusualError
            if length == UNDEFINED_LENGTH:
                at = self._past_sequence(tag, vr, at, depth + 1)
                continue
            if tag == CHARACTER_SET:
                encodings_of(self._head[at : at + length])
            at += length
        if at != end or at > len(self._head):
            raise _UnusualError
        return at

    def _is_sequence(self, tag: int, at: int) -> bool:
        known = dictionary_vr(tag)
        return known == "SQ" or (known is None and _implicit.unpack_from(self._head, at)[:2] == (0xFFFE, 0xE000))

    def _looks_explicit(self, at: int) -> bool:
        vr = self._head[at + 4 : at + 6]
        return len(vr) == 2 and all(0x40 < letter < 0x5B for letter in vr)

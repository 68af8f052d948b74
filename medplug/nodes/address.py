"""The address of a node as one URL, and what of its archive is meant.

- `dimse://CALLED@host:port`: DIMSE, PS3.7; `dimses://` the same over TLS (PS3.15 B)
- `dicomweb://host:port/path`: DICOMweb, PS3.18; `dicomwebs://` the same over TLS
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeGuard
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from ..errors import CallError

SCHEMES = ("dimse", "dimses", "dicomweb", "dicomwebs")
KEYS = ("StudyInstanceUID", "SeriesInstanceUID", "AccessionNumber", "PatientID", "StudyDate")
"""The matching keys that an address may name, each with one value and no wildcard."""

FILES = ("ca", "cert", "key")
"""What of an address names a file, all for TLS."""

_FORM = "dimse://CALLED@host:port or dicomweb://host:port/path"
_USER = re.compile(r"(?:(?<=://)|^(?!.*://)).*@")
"""A title or a name, and what may be a password behind it."""
_UID = re.compile(r"[0-9.]{1,64}")
_UID_IN_PATH = re.compile(r"[0-9]+(\.[0-9]+)+")  # a service's path may well have a part that is a number


def is_address(source: object) -> TypeGuard[str]:
    """Whether a source is a node's address, not a file's path."""
    return isinstance(source, str) and source.partition("://")[0].lower() in SCHEMES and "://" in source


@dataclass(frozen=True)
class Address:
    """A node, and of what it keeps the study that `keys` name.

    `title` is the AE title that is called and `calling` the one that calls; both are DIMSE's alone. `path` is
    DICOMweb's. `ca` is the file of the certificates that are trusted (default: the system's), `cert` and `key` are
    what is shown to a node that wants to know who calls.
    """

    scheme: str
    host: str
    port: int
    title: str = ""
    calling: str = "MEDPLUG"
    path: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @property
    def tls(self) -> bool:
        """Whether what is said is encrypted."""
        return self.scheme.endswith("s")

    @property
    def web(self) -> bool:
        """Whether the node speaks DICOMweb."""
        return self.scheme.startswith("dicomweb")

    @property
    def base(self) -> str:
        """The URL of the service: http or https."""
        return f"{'https' if self.tls else 'http'}://{_host(self.host)}:{self.port}{self.path}"

    def __str__(self) -> str:
        """Return the node, without keys: they may identify a patient."""
        title = f"{quote(self.title, safe='')}@" if self.title else ""
        return f"{self.scheme}://{title}{_host(self.host)}:{self.port}{self.path}"

    @classmethod
    def parse(cls, url: str, *, study: bool = False, calling: str = "MEDPLUG") -> Self:
        """Read an address. With `study`, UIDs at the end of its path and keys in its query say what is wanted.

        `calling` is the AE title that calls where the address names none.

        Raises `CallError`, which names the node and never the values of keys.
        """
        shown = _USER.sub("", url.partition("?")[0])
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:  # which may quote a password
            raise CallError(f"{shown}: has no port that is one, or no host; write {_FORM}") from None
        if parts.scheme not in SCHEMES:
            raise CallError(f"{shown}: {parts.scheme or 'nothing'}:// is no way to a node; {', '.join(SCHEMES)} are")
        web, tls = parts.scheme.startswith("dicomweb"), parts.scheme.endswith("s")
        if parts.password is not None or (web and parts.username):
            raise CallError(f"{parts.scheme}://{host}: a password is not for a URL; put it into ~/.netrc")
        if not host or (port is None and not web):
            raise CallError(f"{shown}: names no {'port' if host else 'host'}; write {_FORM}")
        options = _options(parts.query, shown)
        path, uids = _split(parts.path)
        if not study and (uids or set(options) & set(KEYS) or (path and not web)):
            raise CallError(f"{shown}: names a study where a node is wanted; write {_FORM}")
        if study:
            options = {**options, **_uids(uids, options, shown)}
            if path and not web:
                raise CallError(f"{shown}: {path} is no UID; write {parts.scheme}://CALLED@host:port/STUDY[/SERIES]")
            if not set(options) & set(KEYS):
                raise CallError(f"{shown}: names no study; add its UID, or a key such as ?AccessionNumber=...")
        files = {name: Path(options[name]) for name in FILES if name in options}
        if files and not tls:
            raise CallError(f"{shown}: {' and '.join(files)} are for TLS; write {parts.scheme}s://")
        if ("cert" in files) != ("key" in files):
            raise CallError(f"{shown}: a certificate and its key go together; name both cert= and key=")
        if web and "calling" in options:
            raise CallError(f"{shown}: DICOMweb knows no AE titles; leave calling= out")
        if not web and not parts.username:
            raise CallError(f"{shown}: names no AE title to call; write {_FORM}")
        title, calling = unquote(parts.username or ""), options.get("calling", calling)
        for one in [] if web else [title, calling]:
            check_title(one, shown)
        return cls(
            scheme=parts.scheme,
            host=host,
            port=port if port is not None else 443 if tls else 80,
            path=path,
            keys={name: options[name] for name in KEYS if name in options},
            title=title,
            calling=calling,
            ca=files.get("ca"),
            cert=files.get("cert"),
            key=files.get("key"),
        )


def is_uid(text: str) -> bool:
    """Whether a text is made as a unique identifier is; leading zeros, against PS3.5 9.1, are frequent."""
    return _UID.fullmatch(text) is not None


def check_title(title: str, where: str) -> None:
    """Raise `CallError` unless `title` is an AE title: 1 to 16 characters of ASCII, no backslash (PS3.5 6.2)."""
    if not (1 <= len(title.strip()) <= 16 and title.isascii() and title.isprintable() and "\\" not in title):
        raise CallError(f"{where}: {title!r} is no AE title: 1 to 16 printable ASCII characters are")


def _options(query: str, shown: str) -> dict[str, str]:
    """The part after the question mark; each name once, none unknown."""
    known = (*KEYS, *FILES, "calling")
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            raise CallError(f"{shown}: {name!r} is not known there; {', '.join(known)} are")
        if name in found or not value:
            raise CallError(f"{shown}: {name} is {'there twice' if name in found else 'empty'}")
        if name in KEYS and set(value) & set("*?\\"):
            raise CallError(f"{shown}: {name} has a wildcard; a study is named by whole values")
        found[name] = value
    return found


def _split(path: str) -> tuple[str, list[str]]:
    """The service's path, and the UIDs that follow it, also where PS3.18's `studies` and `series` stand between."""
    words = [word for word in path.split("/") if word]
    uids: list[str] = []
    while words and (_in_path(words[-1]) or (uids and words[-1] in ("studies", "series"))):
        word = words.pop()
        if word not in ("studies", "series"):
            uids.insert(0, word)
    return "".join(f"/{word}" for word in words), uids


def _in_path(word: str) -> bool:
    return is_uid(word) and _UID_IN_PATH.fullmatch(word) is not None


def _uids(uids: list[str], options: dict[str, str], shown: str) -> dict[str, str]:
    if len(uids) > 2:
        raise CallError(f"{shown}: has {len(uids)} UIDs; a study's and a series' are read")
    found = dict(zip(("StudyInstanceUID", "SeriesInstanceUID"), uids))
    if twice := set(found) & set(options):
        raise CallError(f"{shown}: {min(twice)} is there twice")
    if "SeriesInstanceUID" in options and "StudyInstanceUID" not in {**options, **found}:
        raise CallError(f"{shown}: a series needs its StudyInstanceUID beside it")
    return found


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host

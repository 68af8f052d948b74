"""The listener's configuration: one TOML file, read strictly; what is wrong is named by its path in the file."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from ..errors import CallError
from ..nodes import Address
from ..nodes.address import FILES, check_title
from ..selection import EVERYTHING, Selection
from .ledger import CUT_OFF


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class ModelChoice(_Part, frozen=True):
    """A model folder that answers studies: `select` says which of their cases, `write` which DICOM comes of it.

    With `refuse_novel`, what is unlike what the model was trained on is refused.
    """

    path: Path
    write: tuple[str, ...]
    explain: bool = False
    refuse_novel: bool = False
    select: Selection = EVERYTHING
    device: str = "auto"


class Tls(_Part, frozen=True):
    """The listener's certificate and key. With `ca`, callers must show a certificate that it signed."""

    cert: Path
    key: Path
    ca: Path | None = None


class Limits(_Part, frozen=True):
    """What callers may take: `associations` at once, `instance_mib` in an instance, `silent_seconds` of saying nothing.

    `reserve_mib` of the disk stay free: an instance that would use them is refused, not acknowledged.
    """

    associations: int = 20
    instance_mib: int = 1024
    reserve_mib: int = 256
    silent_seconds: float = 30


class Retry(_Part, frozen=True):
    """How failures are repeated: after `first_seconds`, then twice as long each time, `longest_seconds` at most.

    A study on which a model failed `attempts` times is set aside. A delivery is repeated until it succeeds.
    """

    first_seconds: float = 2
    longest_seconds: float = 300
    attempts: int = 5


class ListenConfig(_Part, frozen=True):
    """What `medplug listen` does; see the documentation for each field."""

    ae_title: str
    port: int
    calling: Literal["any"] | tuple[str, ...]
    state: Path
    models: tuple[ModelChoice, ...]
    send_to: str
    bind: str = "127.0.0.1"
    quiet_seconds: float = 30
    keep_hours: float = 24
    tls: Tls | None = None
    limits: Limits = Limits()
    retry: Retry = Retry()

    @property
    def destination(self) -> Address:
        """The node that gets the results, called by the listener's own title unless the URL names another."""
        return Address.parse(self.send_to, calling=self.ae_title)


def read_config(file: str | Path) -> ListenConfig:
    """Read a configuration, whose relative paths begin at its own folder. `CallError` names where what is wrong."""
    file = Path(file)
    try:
        plain = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CallError(f"{file}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CallError(f"{file}: is no TOML: {error}") from None
    try:
        config = msgspec.convert(plain, ListenConfig, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise CallError(f"{file}: {_located(str(error))}") from None
    for path, wrong in _wrong(config):
        raise CallError(f"{file}: {path}: {wrong}")
    return _anchored(config, file.resolve().parent)


def _path(kind: type, value: object) -> Path:
    if kind is not Path or not isinstance(value, str) or not value:
        raise ValueError(f"Expected the path of a file or a folder, got {value!r}")
    return Path(value)


def _located(message: str) -> str:
    """msgspec's «Expected `int`, got `str` - at `$.limits.port`» with the path in front."""
    told = re.fullmatch(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?", message, re.DOTALL)
    assert told is not None
    what = told["what"].replace("Object missing", "lacks the")
    if unknown := re.search(r"unknown field `(.*?)`", what):
        owner: dict[str, type[msgspec.Struct]] = {
            "models[...]": ModelChoice,
            "tls": Tls,
            "limits": Limits,
            "retry": Retry,
            "models[...].select": Selection,
        }
        kind = owner.get(re.sub(r"\[\d+\]", "[...]", told["path"] or ""), ListenConfig)
        what = (
            f"there is no {unknown[1]!r}; there are {', '.join(field.name for field in msgspec.structs.fields(kind))}"
        )
    return f"{told['path']}: {what}" if told["path"] else what


def _wrong(config: ListenConfig) -> Iterator[tuple[str, str]]:
    """What the types cannot say: the path in the file, and what is wrong there."""
    if not 1 <= config.port <= 65535:
        yield "port", f"{config.port} is none; 1 to 65535 are (11112 is DICOM's usual)"
    titles = [("ae_title", config.ae_title)]
    if config.calling != "any":
        titles += [(f"calling[{number}]", title) for number, title in enumerate(config.calling)]
        if not config.calling:
            yield "calling", 'lists nobody; list the AE titles that may call, or say "any"'
    for path, title in titles:
        try:
            check_title(title, path)
        except CallError as error:
            yield path, str(error).partition(": ")[2]
    if not config.models:
        yield "models", "lists no model; add [[models]] with a path and what to write"
    for number, model in enumerate(config.models):
        if not model.write:
            yield f"models[{number}].write", "lists nothing; name at least one of the DICOM writers, dicom-sr say"
        for place, name in enumerate(model.write):
            if not name.startswith("dicom-"):
                yield f"models[{number}].write[{place}]", f"{name!r} gives no DICOM; the writers named dicom-... do"
    if len({model.path for model in config.models}) < len(config.models):
        yield "models", "lists one path twice"
    try:
        config.destination  # noqa: B018  # parses it
    except CallError as error:
        yield "send_to", str(error)
    for path, value in (
        ("quiet_seconds", config.quiet_seconds),
        ("keep_hours", config.keep_hours),
        ("limits.reserve_mib", config.limits.reserve_mib),
    ):
        if not 0 <= value < math.inf:  # nor is NaN
            yield path, f"{value} is not a number from 0 on"
    for path, value in (
        ("limits.associations", config.limits.associations),
        ("limits.instance_mib", config.limits.instance_mib),
        ("limits.silent_seconds", config.limits.silent_seconds),
        ("retry.first_seconds", config.retry.first_seconds),
        ("retry.longest_seconds", config.retry.longest_seconds),
        ("retry.attempts", config.retry.attempts),
    ):
        if not 0 < value < math.inf:
            yield path, f"{value} is not a number above 0"
    if config.retry.attempts > CUT_OFF:
        yield "retry.attempts", f"{config.retry.attempts} is above {CUT_OFF}, after which a study is set aside anyhow"


def _anchored(config: ListenConfig, folder: Path) -> ListenConfig:
    """The same with absolute paths, those in the destination's URL among them."""
    replace = msgspec.structs.replace
    url = urlsplit(config.send_to)
    options = [(name, str(folder / text) if name in FILES else text) for name, text in parse_qsl(url.query)]
    send_to = url._replace(query=urlencode(options, safe="/")).geturl()
    tls = config.tls
    if tls is not None:
        tls = replace(tls, cert=folder / tls.cert, key=folder / tls.key, ca=None if tls.ca is None else folder / tls.ca)
    models = tuple(replace(model, path=folder / model.path) for model in config.models)
    return replace(config, state=folder / config.state, models=models, tls=tls, send_to=send_to)

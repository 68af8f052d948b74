"""DICOMweb as its user: QIDO-RS, WADO-RS and STOW-RS, PS3.18 10."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ..errors import NodeError
from .address import Address
from .broke_off import BrokeOffError
from .needs import needs
from .tls import client_context

if TYPE_CHECKING:
    from dicomweb_client.api import DICOMwebClient
    from requests import Response, Session

_SECONDS = 10, 60
"""To connect, and for an answer."""

_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"

# Of the answer to STOW-RS, PS3.18 I.2.2
_FAILED, _FAILURE_REASON = "00081198", "00081197"
_REFERENCED, _REFERENCED_INSTANCE, _WARNING_REASON = "00081199", "00081155", "00081196"

_STRANGE = "something else than DICOM JSON: is the path right, does it want a login?"
_JSON = "application/dicom+json"
_NOT_THE_OBJECT = (401, 403, 404, 407, 408, 429)
"""HTTP statuses of 4xx that say something about the caller, the path or the moment, not about what was sent."""


def session(node: Address) -> Session:
    """An HTTP session with a node. A password, where one is needed, stands in ~/.netrc."""
    needs("dicomweb_client")
    import requests

    from .transport import TrustingAdapter

    made = requests.Session()
    made.max_redirects = 0  # the address says where what is sent may go, and whether it is encrypted
    if node.tls:
        made.mount("https://", TrustingAdapter(client_context(node.ca, node.cert, node.key)))
    return made


def client(node: Address) -> DICOMwebClient:
    """A client that asks a node."""
    needs("dicomweb_client")
    from dicomweb_client.api import DICOMwebClient

    made = DICOMwebClient(node.base, session=session(node), timeout=_SECONDS)
    made.set_http_retry_params(retry=False)  # whoever calls knows better whether to try again
    return made


@contextmanager
def talking(node: Address) -> Iterator[None]:
    """Raise `NodeError`, which names the node alone, for whatever HTTP brings."""
    needs("dicomweb_client")
    import requests

    try:
        yield
    except requests.HTTPError as error:
        code = error.response.status_code if error.response is not None else 0
        hint = "; put a name and a password for it into ~/.netrc" if code == 401 else ""
        raise NodeError(f"{node}: answers with HTTP status {code}{hint}") from None
    except requests.exceptions.SSLError:
        raise NodeError(f"{node}: TLS fails: do the certificates fit?") from None
    except requests.TooManyRedirects:
        raise NodeError(f"{node}: redirects to another address; write that one, if it is right") from None
    except requests.JSONDecodeError:
        raise NodeError(f"{node}: answers a query with {_STRANGE}") from None
    except requests.Timeout:
        raise NodeError(f"{node}: does not answer in time") from None
    except requests.RequestException:
        raise NodeError(f"{node}: cannot be reached: is it running, are port and path right?") from None


def studies(node: Address, made: DICOMwebClient, keys: Mapping[str, str]) -> list[str]:
    """The UIDs of the studies that match, QIDO-RS."""
    return list(_all(node, partial(made.search_for_studies, search_filters=dict(keys)), _STUDY))


def instances(node: Address, made: DICOMwebClient, study: str, series: str | None) -> list[tuple[str, str]]:
    """(Series Instance UID, SOP Instance UID) of a study's instances, or of one series', QIDO-RS."""
    matches = _all(node, partial(made.search_for_instances, study, series), _INSTANCE)
    return [(_uid(node, match, _SERIES, series), uid) for uid, match in matches.items()]


def fetch(node: Address, made: DICOMwebClient, study: str, series: str, file: Callable[[str], Path]) -> None:
    """WADO-RS of a series: each instance goes to the file of its UID, in the transfer syntax in which it is kept."""
    try:
        for dataset in made.iter_series(study, series, media_types=(("application/dicom", "*"),)):
            dataset.save_as(file(str(dataset.SOPInstanceUID)))
    except OSError:  # HTTP's, or the disk's
        raise
    except Exception as error:  # whatever an answer brings that is no DICOM
        raise NodeError(f"{node}: gives a series that cannot be read ({type(error).__name__})") from None


def _all(node: Address, search: Callable[..., Any], key: str) -> dict[str, Any]:
    """What matches, by its unique key, page after page until one brings nothing new: servers may ignore the offset."""
    found: dict[str, Any] = {}
    offset = 0
    while page := search(offset=offset or None):
        if not isinstance(page, list):
            raise NodeError(f"{node}: answers a query with {_STRANGE}")
        before = len(found)
        found.update((_uid(node, match, key), match) for match in page)
        offset += len(page)
        if len(found) == before:
            break
    return found


def _uid(node: Address, match: object, tag: str, default: str | None = None) -> str:
    uid = _value(match, tag) or default
    if not uid:
        raise NodeError(f"{node}: answers a query with what has no UID")
    return uid


def store(node: Address, made: Session, file: Path, uid: str) -> int | str:
    """STOW-RS of a file as it is: a status as C-STORE's are, or in words why it is not stored.

    It is stored where the answer names its SOP Instance UID as stored, PS3.18 10.5.3. Raises `BrokeOffError` where no
    answer comes, and `NodeError` where it is of no kind that says something about the file.
    """
    import requests
    from urllib3.exceptions import ProtocolError

    boundary = uuid4().hex
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n"
    try:
        body = b"".join([head.encode(), file.read_bytes(), f"\r\n--{boundary}--\r\n".encode()])
    except OSError as error:
        return f"cannot be sent ({type(error).__name__})"
    fields = {"Accept": _JSON, "Content-Type": f'multipart/related; type="application/dicom"; boundary="{boundary}"'}
    with talking(node):
        try:
            answer = made.post(f"{node.base}/studies", data=body, headers=fields, timeout=_SECONDS)
        except requests.ReadTimeout:
            raise BrokeOffError(node, "does not answer in time") from None
        except requests.ConnectionError as error:
            if error.args and isinstance(error.args[0], ProtocolError):  # else there was no connection
                raise BrokeOffError(node, "broke off while it was sent") from None
            raise
        said = _said(answer)
        if said is not None and (failures := _values(said, _FAILED)):
            return _number(failures[0], _FAILURE_REASON, 0x0110)
        if 400 <= answer.status_code < 500 and answer.status_code not in _NOT_THE_OBJECT:
            return f"HTTP status {answer.status_code}"
        if answer.status_code == 500:
            raise BrokeOffError(node, "answers with HTTP status 500")
        answer.raise_for_status()
    if said is None:
        kind = answer.headers.get("Content-Type", "nothing").partition(";")[0]
        raise NodeError(f"{node}: answers with {kind}, not with DICOM JSON: is the path right, does it want a login?")
    for one in _values(said, _REFERENCED):
        if _value(one, _REFERENCED_INSTANCE) == uid:
            return _number(one, _WARNING_REASON, 0x0000)
    return "the node does not say that it is stored"


def _said(answer: Response) -> dict[str, Any] | None:
    """The dataset that an answer is, in the DICOM JSON model (PS3.18 F); None where it is something else."""
    try:
        said = answer.json()
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def _values(record: object, tag: str) -> list[Any]:
    """The values of an element in the DICOM JSON model, whatever a node makes of that."""
    element = record.get(tag) if isinstance(record, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def _value(record: object, tag: str) -> str:
    return str(next(iter(_values(record, tag)), None) or "")


def _number(record: object, tag: str, default: int) -> int:
    value = _value(record, tag)
    return int(value) if value.isdecimal() and value.isascii() else default

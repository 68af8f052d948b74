"""DICOMweb as its user: QIDO-RS, WADO-RS and STOW-RS, PS3.18 10."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import NodeError
from .address import Address
from .needs import needs
from .tls import client_context

if TYPE_CHECKING:
    from dicomweb_client.api import DICOMwebClient
    from pydicom.dataset import Dataset

CONNECT_SECONDS, ANSWER_SECONDS = 10, 60

_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"


def client(node: Address) -> DICOMwebClient:
    """A client for a node. A password, where one is needed, stands in ~/.netrc."""
    needs("dicomweb_client")
    import requests
    from dicomweb_client.api import DICOMwebClient

    session = requests.Session()
    if node.tls:
        client_context(node.ca, node.cert, node.key)  # says of a bad file what is wrong with it
        session.verify = str(node.ca) if node.ca is not None else True
        if node.cert is not None and node.key is not None:
            session.cert = (str(node.cert), str(node.key))
    made = DICOMwebClient(node.base, session=session, timeout=(CONNECT_SECONDS, ANSWER_SECONDS))
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
    except requests.Timeout:
        raise NodeError(f"{node}: does not answer in time") from None
    except requests.RequestException:
        raise NodeError(f"{node}: cannot be reached: is it running, are port and path right?") from None


def studies(made: DICOMwebClient, keys: Mapping[str, str]) -> list[str]:
    """The UIDs of the studies that match, QIDO-RS."""
    matches = made.search_for_studies(search_filters=dict(keys), get_remaining=True)
    return [uid for match in matches if (uid := _value(match, _STUDY))]


def instances(made: DICOMwebClient, study: str, series: str | None) -> list[tuple[str, str]]:
    """(Series Instance UID, SOP Instance UID) of a study's instances, or of one series', QIDO-RS."""
    matches = made.search_for_instances(study, series, get_remaining=True)
    found = [(_value(match, _SERIES) or series or "", _value(match, _INSTANCE)) for match in matches]
    return [(owner, uid) for owner, uid in found if owner and uid]


def series(made: DICOMwebClient, study: str, uid: str) -> Iterator[Dataset]:
    """The instances of a series in the transfer syntax in which they are kept, WADO-RS."""
    yield from made.iter_series(study, uid, media_types=(("application/dicom", "*"),))


def store(made: DICOMwebClient, file: Path) -> int:
    """STOW-RS of one file: its status, as C-STORE's are. Raises what HTTP brings."""
    import requests
    from pydicom import dcmread

    try:
        answer = made.store_instances([dcmread(file)])
    except requests.HTTPError as error:
        failed = _refusal(error)
        if failed is None:
            raise
        return failed
    for item in answer.get("FailedSOPSequence") or ():
        return int(item.get("FailureReason", 0x0110))
    for item in answer.get("ReferencedSOPSequence") or ():
        return int(item.get("WarningReason", 0))
    return 0


def _refusal(error: Any) -> int | None:
    """The failure reason in the answer to a request that failed as a whole, PS3.18 10.5.3.1; None where it has none."""
    from pydicom.dataset import Dataset

    if error.response is None or error.response.status_code != 409:
        return None
    try:
        answer = Dataset.from_json(error.response.content)
        return int(answer.FailedSOPSequence[0].FailureReason)
    except Exception:  # a 409 without, or with another, body
        return 0x0110


def _value(match: Mapping[str, Any], tag: str) -> str:
    values = match.get(tag, {}).get("Value") or [""]
    return str(values[0])

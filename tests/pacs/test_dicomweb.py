"""DICOMweb with servers that are not as the standard wants them."""

import json
from pathlib import Path

import pytest
from pacs.web import JSON, Answer, WebNode
from pydicom import dcmread
from pydicom.data import get_testdata_file

from medplug import NodeError
from medplug.nodes import Address
from medplug.nodes.dicomweb import client, studies
from medplug.nodes.tls import server_context
from medplug.pacs import send
from medplug.sources import read

CT = Path(get_testdata_file("CT_small.dcm"))
UID = str(dcmread(CT).SOPInstanceUID)
INSTANCE = {"0020000E": {"vr": "UI", "Value": ["1.2.4"]}, "00080018": {"vr": "UI", "Value": ["1.2.5"]}}


def stored(uid: str = UID, warning: int = 0) -> bytes:
    """The body of an answer that says that an instance is stored, PS3.18 10.5.3."""
    item = {"00081155": {"vr": "UI", "Value": [uid]}}
    if warning:
        item["00081196"] = {"vr": "US", "Value": [warning]}
    return json.dumps({"00081199": {"vr": "SQ", "Value": [item]}}).encode()


def failed(reason: int) -> bytes:
    item = {"00081155": {"vr": "UI", "Value": [UID]}, "00081197": {"vr": "US", "Value": [reason]}}
    return json.dumps({"00081198": {"vr": "SQ", "Value": [item]}}).encode()


def test_what_is_posted_is_the_file_byte_for_byte():
    with WebNode(lambda path, body: (200, {"Content-Type": JSON}, stored())) as node:
        assert [one.refused for one in send(CT, node.url)] == [None]

    [(path, fields, body)] = node.asked
    assert path == "/pacs/studies"
    assert fields["Accept"] == JSON
    boundary = fields["Content-Type"].partition('boundary="')[2].rstrip('"').encode()
    head = b"--" + boundary + b"\r\nContent-Type: application/dicom\r\n\r\n"
    assert body == head + CT.read_bytes() + b"\r\n--" + boundary + b"--\r\n"


@pytest.mark.parametrize(
    ("status", "kind", "body", "refused", "note"),
    [
        (200, JSON, stored(), None, None),
        (200, f"{JSON}; charset=utf-8", stored(), None, None),
        (202, JSON, stored(warning=0xB000), None, "0xB000 Coercion of Data Elements"),
        (202, f"{JSON}; charset=utf-8", failed(0xA900), "0xA900 Data Set Does Not Match SOP Class", None),
        (200, JSON, stored("1.2.3"), "the node does not say that it is stored", None),
        (200, JSON, b"{}", "the node does not say that it is stored", None),
        (409, JSON, failed(0xA700), "0xA700 Refused: Out of Resources", None),
        (409, "text/plain", b"no", "HTTP status 409", None),
        (400, "text/html", b"<p>no</p>", "HTTP status 400", None),
        (413, "text/html", b"<p>too large</p>", "HTTP status 413", None),
    ],
)
def test_stored_is_what_the_answer_names_as_stored(status, kind, body, refused, note):
    with WebNode(lambda path, sent: (status, {"Content-Type": kind}, body)) as node:
        [one] = send(CT, node.url)

    assert (one.refused, one.note) == (refused, note)


@pytest.mark.parametrize(
    ("status", "fields", "body", "message"),
    [
        (200, {"Content-Type": "text/html"}, b"<form>login</form>", "with text/html, not with DICOM JSON"),
        (200, {}, b"x", "not with DICOM JSON"),
        (200, {"Content-Type": JSON}, b"", "not with DICOM JSON"),
        (204, {}, b"", "not with DICOM JSON"),
        (200, {"Content-Type": JSON}, b"[1]", "not with DICOM JSON"),
        (403, {"Content-Type": "text/html"}, b"", "HTTP status 403"),
        (503, {"Content-Type": "text/html"}, b"", "HTTP status 503"),
    ],
)
def test_an_answer_that_says_nothing_of_the_instance_is_no_delivery(status, fields, body, message):
    with WebNode(lambda path, sent: (status, fields, body)) as node, pytest.raises(NodeError, match=message):
        list(send(CT, node.url))


@pytest.mark.parametrize(("status", "how"), [(0, "broke off while it was sent"), (500, "answers with HTTP status 500")])
def test_a_file_on_which_the_server_fails_costs_itself_alone(status, how):
    answers = iter([(status, {}, b""), (200, {"Content-Type": JSON}, stored())])
    with WebNode(lambda path, sent: next(answers)) as node:
        assert [one.refused for one in send([CT, CT], node.url)] == [f"the node {how}", None]


def test_a_server_that_fails_on_every_file_is_not_asked_for_ever():
    with WebNode(lambda path, sent: (500, {}, b"")) as node, pytest.raises(NodeError, match="HTTP status 500"):
        list(send([CT] * 6, node.url))

    assert len(node.asked) == 3


def test_who_is_trusted_over_tls_is_said_by_the_address_and_not_by_the_environment(certificates, monkeypatch):
    tls = server_context(certificates / "me.pem", certificates / "me.key", certificates / "ca.pem")
    shown = f"cert={certificates}/me.pem&key={certificates}/me.key"
    with WebNode(lambda path, sent: (200, {"Content-Type": JSON}, stored()), tls) as node:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / "stranger.pem"))
        assert [one.refused for one in send(CT, f"{node.url}?ca={certificates}/ca.pem&{shown}")] == [None]

        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / "ca.pem"))
        for who in (f"ca={certificates}/stranger.pem&{shown}", shown, f"ca={certificates}/ca.pem"):
            with pytest.raises(NodeError, match=r"TLS fails|cannot be reached|broke off"):
                list(send([CT] * 3, f"{node.url}?{who}"))
    assert len(node.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_nothing_follows_a_redirect(status):
    with WebNode(lambda path, sent: (200, {"Content-Type": JSON}, stored())) as other:
        elsewhere = {"Location": f"http://127.0.0.1:{other.port}/pacs/studies"}
        with WebNode(lambda path, sent: (status, elsewhere, b"")) as node:
            with pytest.raises(NodeError, match="redirects to another address"):
                list(send(CT, node.url))
            [refused] = read(f"{node.url}/1.2.3")

    assert "redirects to another address" in refused.outcome.reason
    assert other.asked == []


def test_a_server_that_ignores_the_offset_is_asked_no_further():
    """Each page is the first one again."""

    def answer(path: str, sent: bytes) -> Answer:
        if len(node.asked) > 20 or "/series/" in path:
            return 404, {}, b""
        found = {"0020000D": {"vr": "UI", "Value": ["1.2.3"]}} if "instances" not in path else INSTANCE
        return 200, {"Content-Type": JSON}, json.dumps([found]).encode()

    with WebNode(answer) as node:
        [found] = read(f"{node.url}/1.2.3")

    assert len(node.asked) <= 6, found


def test_a_long_answer_in_pages_is_read_to_its_end():
    pages = iter([3, 3, 1, 0])
    total = 0

    def answer(path: str, sent: bytes) -> Answer:
        nonlocal total
        begin = total
        total += next(pages)
        page = [{"0020000D": {"vr": "UI", "Value": [f"1.2.{number}"]}} for number in range(begin, total)]
        return 200, {"Content-Type": JSON}, json.dumps(page).encode()

    with WebNode(answer) as node:
        found = studies(Address.parse(node.url), client(Address.parse(node.url)), {"PatientID": "7"})

    assert found == [f"1.2.{number}" for number in range(7)]
    assert [path.partition("offset=")[2] for path, _, _ in node.asked] == ["", "3", "6", "7"]


@pytest.mark.parametrize(
    ("place", "kind", "body", "reason"),
    [
        ("studies?", "text/html", b"<form>login</form>", "answers a query with something else than DICOM JSON"),
        ("studies?", JSON, b"7", "answers a query with something else than DICOM JSON"),
        ("studies?", JSON, b"[{}, 3]", "answers a query with what has no UID"),
        ("instances", JSON, b"[{}]", "answers a query with what has no UID"),
        ("/series/", "text/html", b"<p>no</p>", "gives a series that cannot be read (ValueError)"),
        ("/series/", "multipart/related; boundary=x", b"--x\r\n\r\nno DICOM\r\n--x--", "gives a series that cannot"),
        ("/series/", "", b"no DICOM", "gives a series that cannot be read (KeyError)"),
    ],
)
def test_an_answer_that_is_none_is_one_refusal(place, kind, body, reason):
    def answer(path: str, sent: bytes) -> Answer:
        if place in path:
            return 200, {"Content-Type": kind} if kind else {}, body
        found = INSTANCE if "instances" in path else {"0020000D": {"vr": "UI", "Value": ["1.2.3"]}}
        return 200, {"Content-Type": JSON}, json.dumps([found]).encode()

    with WebNode(answer) as node:
        [found] = read(f"{node.url}/1.2.3")

    assert found.outcome.reason.startswith(f"{node.url}: {reason}")

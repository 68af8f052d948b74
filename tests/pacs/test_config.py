"""The listener's configuration: what is wrong is named by its path in the file, with the way out."""

from pathlib import Path

import pytest
from pacs.parts import Listener, choice

from medplug import CallError
from medplug.pacs.config import read_config
from medplug.pacs.spool import Spool

GOOD = """
ae_title = "LISTENER"
port = 11112
calling = ["PACS"]
state = "state"
send_to = "dimses://PACS@127.0.0.1:4242?ca=their%20ca.pem"
[[models]]
path = "models/xray"
write = ["dicom-sr", "dicom-seg"]
[models.select]
modality = ["CR", "DX"]
[tls]
cert = "me.pem"
key = "/etc/me.key"
"""


def test_paths_begin_at_the_files_own_folder(tmp_path):
    (tmp_path / "listen.toml").write_text(GOOD)

    config = read_config(tmp_path / "listen.toml")

    assert config.state == tmp_path / "state"
    assert config.models[0].path == tmp_path / "models" / "xray"
    assert config.models[0].select.modality == ("CR", "DX")
    assert config.tls is not None
    assert (config.tls.cert, str(config.tls.key)) == (tmp_path / "me.pem", "/etc/me.key")
    assert config.destination.ca == tmp_path / "their ca.pem"
    assert (config.destination.title, config.destination.calling) == ("PACS", "LISTENER")
    assert (config.bind, config.keep_hours, config.limits.associations) == ("127.0.0.1", 24, 20)


def test_the_example_is_a_configuration():
    example = Path(__file__).resolve().parents[2] / "examples" / "orthanc" / "listen.toml"

    assert read_config(example).models[0].write == ("dicom-sr", "dicom-capture")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("port = 11112", "port = 'x'", "port: Expected `int`, got `str`"),
        ("port = 11112", "port = 0", "port: 0 is none; 1 to 65535 are"),
        ("port = 11112", "", "lacks the required field `port`"),
        ("port = 11112", "prot = 11112\nport = 11112", "there is no 'prot'; there are ae_title, port, calling"),
        ('["PACS"]', "[]", 'calling: lists nobody; list the AE titles that may call, or say "any"'),
        ('["PACS"]', '"everybody"', "calling: "),
        ('["PACS"]', '["PACS", "MUCH-TOO-LONG-A-TITLE"]', "calling[1]: 'MUCH-TOO-LONG-A-TITLE' is no AE title"),
        ('"LISTENER"', '""', "ae_title: '' is no AE title"),
        ('state = "state"', "state = 7", "state: Expected the path of a file or a folder, got 7"),
        ('"dimses://PACS@127.0.0.1:4242?ca=their%20ca.pem"', '"PACS"', "send_to: PACS: nothing:// is no way to a node"),
        ('["dicom-sr", "dicom-seg"]', "7", "models[0].write: Expected `array`, got `int`"),
        ('["dicom-sr", "dicom-seg"]', "[]", "models[0].write: lists nothing"),
        ('"dicom-seg"]', '"json"]', "models[0].write[1]: 'json' gives no DICOM"),
        (
            'modality = ["CR", "DX"]',
            'modalities = ["CR"]',
            "models[0].select: there is no 'modalities'; there are modality",
        ),
        ('key = "/etc/me.key"', "", "tls: lacks the required field `key`"),
        ("[tls]", "[retry]\nattempts = 0\n[tls]", "retry.attempts: 0 is not a number above 0"),
        ("[tls]", "[retry]\nattempts = 21\n[tls]", "retry.attempts: 21 is above 20"),
        ("[tls]", "[retry]\nlongest_seconds = nan\n[tls]", "retry.longest_seconds: nan is not a number above 0"),
        ("port = 11112", "port = 11112\nquiet_seconds = nan", "quiet_seconds: nan is not a number from 0 on"),
        ("port = 11112", "port = 11112\nkeep_hours = inf", "keep_hours: inf is not a number from 0 on"),
        ("[tls]", "[limits]\nassociation = 3\n[tls]", "limits: there is no 'association'; there are associations"),
        ("[tls]", "[tls", "is no TOML"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(tmp_path, before, after, message):
    assert before in GOOD
    (tmp_path / "listen.toml").write_text(GOOD.replace(before, after))

    with pytest.raises(CallError) as caught:
        read_config(tmp_path / "listen.toml")

    assert str(caught.value).startswith(f"{tmp_path / 'listen.toml'}: ")
    assert message in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CallError, match="No such file"):
        read_config(tmp_path / "listen.toml")


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ('[[models]]\npath = "nowhere"\nwrite = ["dicom-x"]', "models[0].path: "),
        (
            '[[models]]\npath = "{bright}"\nwrite = ["dicom-x"]',
            "models[0].write: no writer named 'dicom-x'; for bright",
        ),
        (
            '[[models]]\npath = "{bright}"\nwrite = ["dicom-seg"]\ndevice = "bananas"',
            "models[0].device: no device named 'bananas'",
        ),
    ],
)
def test_check_says_which_model_cannot_be_used(site, tmp_path, models, message):
    models = models.format(bright=site.parent / "bright")
    refuses(Listener(tmp_path, site, "dimse://PACS@127.0.0.1:1", models), message, "--check")


@pytest.mark.parametrize("arguments", [["--check"], []])
def test_a_certificate_for_the_destination_that_is_not_there_is_said_at_once(site, tmp_path, arguments):
    listener = Listener(tmp_path, site, "dimses://PACS@127.0.0.1:1?ca=gone.pem", choice(site, bright=["dicom-seg"]))

    refuses(listener, f"send_to: {tmp_path}/gone.pem", *arguments)


def test_a_state_that_is_no_folder_or_a_queue_that_is_damaged_is_said(site, tmp_path):
    listener = Listener(tmp_path, site, "dimse://PACS@127.0.0.1:1", choice(site, bright=["dicom-seg"]))
    state = tmp_path / "state"
    listener.write()
    state.write_text("a file")
    assert f"state: {state} is no folder; name one" in listener.command().stderr
    state.unlink()
    Spool(state).ledger.close()
    queue = state / "queue.sqlite"
    whole = queue.read_bytes()
    for damaged in (b"no database" * 1000, whole[:100] + bytes(4000) + whole[4100:]):
        queue.write_bytes(damaged)
        for arguments in ([], ["--status"]):
            ran = listener.command(*arguments)
            assert ran.returncode == 2
            assert "cannot be used (" in ran.stderr
            assert "Traceback" not in ran.stderr


def test_a_key_that_is_not_there_is_not_its_certificates_fault(site, tmp_path):
    listener = Listener(tmp_path, site, "dimse://PACS@127.0.0.1:1", choice(site, bright=["dicom-seg"]))
    (tmp_path / "me.pem").write_text("")
    listener.more = '[tls]\ncert = "me.pem"\nkey = "gone.key"'

    refuses(listener, f"{tmp_path}/gone.key: is no certificate or key that can be used", "--check")


def refuses(listener: Listener, message: str, *arguments: str) -> None:
    """Check that a listener says what is wrong, and leaves nothing."""
    listener.write()
    ran = listener.command(*arguments)

    assert ran.returncode == 2
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (listener.folder / "state").exists()

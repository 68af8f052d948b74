"""Results as JSON lines: against the published schema, the same bytes each time, and read back strictly."""

import json

import jsonschema
import numpy as np
import pytest
from msgspec.structs import replace
from pydicom.data import get_testdata_file
from writers.runs import Above, Brightness, Halves, Loudest, Rings, answers, mixed_folder, write

import medplug
from medplug.errors import MedplugError
from medplug.result import json_schema
from medplug.session import Answer
from medplug.writers import JsonLines, builtin, read_results

EVERY_KIND = {
    "classification": lambda tmp: answers(Halves(), str(mixed_folder(tmp / "in")), explanations=True),
    "anomaly": lambda tmp: answers(Loudest(), str(mixed_folder(tmp / "in"))),
    "segmentation": lambda tmp: answers(Above(), get_testdata_file("CT_small.dcm")),
    "regression": lambda tmp: answers(Brightness(), str(mixed_folder(tmp / "in"))),
    "generated": lambda tmp: answers(Rings(), 3),
}


def equal(one, other):
    """Whether two structs are equal, arrays compared by value."""
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if hasattr(one, "__struct_fields__"):
        return type(one) is type(other) and all(
            equal(getattr(one, field), getattr(other, field)) for field in one.__struct_fields__
        )
    return one == other


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_line_fits_the_published_schema(tmp_path, kind):
    session, found = EVERY_KIND[kind](tmp_path)

    write(JsonLines, tmp_path / "out", session, found)

    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    assert len(lines) == len(found)
    validator = jsonschema.Draft202012Validator(json_schema())
    for line in lines:
        validator.validate(json.loads(line))
    assert kind in {json.loads(line)["prediction"]["type"] for line in lines}


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_what_is_read_back_is_what_was_written(tmp_path, kind):
    session, found = EVERY_KIND[kind](tmp_path)
    write(JsonLines, tmp_path / "out", session, found)

    back = list(read_results(tmp_path / "out"))

    assert len(back) == len(found)
    assert all(equal(one, answer.result) for one, answer in zip(back, found))


def test_two_runs_give_the_same_bytes(tmp_path):
    for out in ("a", "b"):
        session, found = EVERY_KIND["classification"](tmp_path)
        write(JsonLines, tmp_path / out, session, found)

    files = [sorted(file for file in (tmp_path / out).rglob("*") if file.is_file()) for out in ("a", "b")]

    assert [file.relative_to(tmp_path / "a") for file in files[0]] == [
        file.relative_to(tmp_path / "b") for file in files[1]
    ]
    assert len(files[0]) == 4  # three explanations and the lines
    assert all(one.read_bytes() == other.read_bytes() for one, other in zip(*files))


def test_no_name_in_the_input_names_a_file(tmp_path):
    session, [answer] = answers(Loudest(), np.ones((8, 8), np.uint8))
    hostile = "../../escape/\x00<b>.dcm"
    answer = Answer(answer.case, replace(answer.result, case=medplug.CaseReference(source=hostile)))

    write(JsonLines, tmp_path / "out", session, [answer])

    files = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file())
    assert files == ["out/arrays/000001-map.npy", "out/results.jsonl"]
    assert next(read_results(tmp_path / "out")).case.source == hostile


def test_nothing_is_visible_before_the_end_nor_after_an_error(tmp_path):
    session, found = EVERY_KIND["anomaly"](tmp_path)
    out = tmp_path / "out"

    def break_off():
        with JsonLines(out, session.loaded) as writer:
            writer.write(found[0])
            assert not (out / "results.jsonl").exists()
            assert not (out / "arrays").exists()
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="full"):
        break_off()

    assert list(out.iterdir()) == []


def test_ctrl_c_keeps_the_cases_that_were_finished(tmp_path):
    session, found = EVERY_KIND["anomaly"](tmp_path)

    def interrupt():
        with JsonLines(tmp_path / "out", session.loaded) as writer:
            writer.write(found[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()

    [kept] = read_results(tmp_path / "out")
    assert equal(kept, found[0].result)


def test_a_second_run_leaves_no_array_of_the_first_and_touches_nothing_else(tmp_path):
    session, found = EVERY_KIND["anomaly"](tmp_path)
    arrays = tmp_path / "out" / "arrays"
    write(JsonLines, tmp_path / "out", session, found)
    (arrays / "mine.npy").write_bytes(b"kept")

    write(JsonLines, tmp_path / "out", session, found[:1])

    assert sorted(file.name for file in arrays.iterdir()) == ["000001-map.npy", "mine.npy"]


def test_a_number_that_json_cannot_hold_is_named_with_its_case(tmp_path):
    session, [answer] = answers(Brightness(), np.ones((8, 8), np.float32))
    broken = replace(answer.result, prediction=medplug.Regression(values={"brightness": float("nan")}))

    with pytest.raises(MedplugError, match=r"the result of array cannot be written.*finite"):
        write(JsonLines, tmp_path / "out", session, [Answer(answer.case, broken)])


def _written(tmp_path):
    session, found = answers(Loudest(), np.ones((8, 8), np.uint8))
    write(JsonLines, tmp_path / "out", session, found)
    return tmp_path / "out" / "results.jsonl", tmp_path / "out" / "arrays" / "000001-map.npy"


def test_a_changed_array_is_not_read(tmp_path):
    lines, array = _written(tmp_path)
    content = bytearray(array.read_bytes())
    content[-1] ^= 1
    array.write_bytes(content)

    with pytest.raises(MedplugError, match=r"line 1: .*was changed"):
        list(read_results(lines))


@pytest.mark.parametrize("name", ["../secret.npy", "/etc/passwd", "arrays/../../x.npy", "arrays/000001-map.npy.bak"])
def test_an_array_file_elsewhere_is_not_read(tmp_path, name):
    lines, _ = _written(tmp_path)
    lines.write_text(lines.read_text().replace("arrays/000001-map.npy", name))

    with pytest.raises(MedplugError, match="is no name of an array file"):
        list(read_results(lines))


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path):
    lines, array = _written(tmp_path)
    array.rename(tmp_path / "outside.npy")
    array.symlink_to(tmp_path / "outside.npy")

    with pytest.raises(MedplugError, match="leads out of the folder"):
        list(read_results(lines))


def test_pickled_objects_are_not_read(tmp_path):
    import hashlib

    lines, array = _written(tmp_path)
    before = hashlib.sha256(array.read_bytes()).hexdigest()
    np.save(array, np.array([{"a": 1}], object), allow_pickle=True)
    after = hashlib.sha256(array.read_bytes()).hexdigest()
    lines.write_text(lines.read_text().replace(before, after).replace("float32", "object").replace("[8,8]", "[1]"))

    with pytest.raises(MedplugError, match="object"):
        list(read_results(lines))


def test_an_unknown_field_is_an_error(tmp_path):
    lines, _ = _written(tmp_path)
    lines.write_text(lines.read_text().replace('"version":1', '"version":1,"extra":2'))

    with pytest.raises(MedplugError, match="extra"):
        list(read_results(lines))


def test_writers_are_found_by_the_name_that_the_command_line_uses():
    assert all(name == writer.name for name, writer in builtin().items())
    assert builtin()["json"] is JsonLines

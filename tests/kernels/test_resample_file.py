"""An image that lies in a file is resampled from there: the same bits as from memory, or not at all."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.calls import DTYPES, QUARTER_TURN, noise, plain

from medplug._kernels import Resampler, Tone, read_values, resample

INTEGERS = [dtype for dtype in DTYPES if dtype != "float32"]
BEFORE = 132  # bytes of something else at the file's start


class Lying:
    """Values written into a file, as `resample_file` and `read_values` name them."""

    def __init__(self, folder: Path, stored: np.ndarray, unused: int = 0):
        self.stored, self.unused = stored, unused
        path = folder / "image"
        path.write_bytes(b"\x5a" * BEFORE + stored.tobytes() + b"\xa5" * 7)
        self.file = os.open(path, os.O_RDONLY)
        self.path = path

    def resampled(self, shape, to_stored, threads=1, **how):
        out = np.full(shape, np.nan, np.float32)
        what = (self.file, BEFORE, self.unused, self.stored.shape, self.stored.dtype.name, out)
        done = Resampler(np.asarray(to_stored, np.float64), **plain(shape[0], **how)).from_file(*what, threads)
        return out if done else None

    def close(self):
        os.close(self.file)


@pytest.fixture
def lying(tmp_path):
    made = []

    def write(stored, unused=0):
        made.append(Lying(tmp_path, stored, unused))
        return made[-1]

    yield write
    for one in made:
        one.close()


def from_memory(stored, shape, to_stored, **how):
    out = np.full(shape, np.nan, np.float32)
    resample(stored, out, np.asarray(to_stored, np.float64), **plain(shape[0], **how))
    return out


WINDOW = {"before": [Tone(slope=1 / 100, intercept=0.2, low=0, high=1)], "filter": "antialias"}


@settings(max_examples=150)
@given(
    dtype=st.sampled_from(INTEGERS),
    sizes=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    new=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    scale=st.tuples(*[st.floats(0.2, 9.0) for _ in "yx"]),
    shift=st.tuples(*[st.floats(-20, 60) for _ in "yx"]),
    flips=st.tuples(st.booleans(), st.booleans()),
    border=st.sampled_from(["edge", "constant"]),
    filter=st.sampled_from(["antialias", "linear"]),
    threads=st.integers(1, 3),
)
def test_from_a_file_as_from_memory(tmp_path_factory, dtype, sizes, new, scale, shift, flips, border, filter, threads):
    stored = noise((1, *sizes), dtype)
    steps = [-step if flip else step for step, flip in zip(scale, flips, strict=True)]
    to_stored = [[steps[0], 0, shift[0]], [0, steps[1], shift[1]]]
    how = {"before": [Tone(slope=1 / 50, intercept=0.2, low=0, high=1)], "border": border, "filter": filter}
    lying = Lying(tmp_path_factory.mktemp("lying"), stored)

    made = lying.resampled((1, *new), to_stored, threads, **how)

    lying.close()
    expected = from_memory(stored, (1, *new), to_stored, **how)
    if made is None:  # the frame lies beside the image: there is no row to read
        assert len(np.unique(expected)) == 1
    else:
        np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("turned", [1, -1])
def test_an_image_of_many_parts(lying, threads, turned):
    """So large that its rows are read in several parts, which share rows."""
    stored = noise((1, 1300, 2048), "uint16")
    scale = 1300 / 260
    to_stored = [[turned * scale, 0, scale / 2 - 0.5 if turned > 0 else 1299.5 - scale / 2], [0, 4, 1.5]]
    how = {"before": [Tone(low=1000, high=5000)], "filter": "antialias"}

    made = lying(stored).resampled((1, 260, 512), to_stored, threads, **how)

    np.testing.assert_array_equal(made, from_memory(stored, (1, 260, 512), to_stored, **how))


def test_slices_are_read_where_they_lie(lying):
    stored = noise((2, 5, 40, 30), "int16")
    to_stored = [[-1, 0, 0, 3], [0, 2, 0, 0.5], [0, 0, 3, 1]]
    how = WINDOW | {"matrix": np.array([[0.0, 1.0]]), "filter": "linear"}

    made = lying(stored).resampled((1, 4, 20, 10), to_stored, **how)

    np.testing.assert_array_equal(made, from_memory(stored, (1, 4, 20, 10), to_stored, **how))


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("unused", [0, 1, 5])
def test_bits_above_a_value_do_not_count(lying, dtype, unused):
    stored = noise((1, 60, 50), dtype)
    image, to_stored = lying(stored, unused), [[3, 0, 1], [0, 2, 0.5]]
    expected = np.left_shift(stored, unused) >> unused
    whole = np.zeros_like(stored)

    assert read_values(image.file, BEFORE, unused, whole)
    made = image.resampled((1, 20, 25), to_stored, **WINDOW)

    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_array_equal(made, from_memory(expected, (1, 20, 25), to_stored, **WINDOW))
    assert unused == 0 or not np.array_equal(stored, expected)


def test_values_are_read_past_the_first_part(lying):
    stored = noise((1, 700, 701), "uint16")  # larger than what is read at a time
    whole = np.zeros_like(stored)

    assert read_values(lying(stored).file, BEFORE, 3, whole)

    np.testing.assert_array_equal(whole, stored << 3 >> 3)


def test_the_position_in_the_file_stays(lying):
    image = lying(noise((1, 60, 50)))
    os.lseek(image.file, 17, os.SEEK_SET)

    assert image.resampled((1, 20, 25), [[3, 0, 1], [0, 2, 0.5]], **WINDOW) is not None
    assert os.lseek(image.file, 0, os.SEEK_CUR) == 17


@pytest.mark.parametrize(
    "how",
    [
        {"to_stored": [*QUARTER_TURN]},
        {"to_stored": [[2, 0.5, 0], [-0.5, 2, 10]]},
        {"filter": "nearest"},
        {"before": [Tone()]},
        {"before": [Tone(table=np.arange(9, dtype=np.float32))]},
        {"before": [Tone(low=0, high=1, gamma=2.0)]},
        {"before": [Tone(low=0, high=1)] * 2, "matrix": np.ones((2, 1)), "channels": 2},
        {"matrix": np.array([[0.5]])},
    ],
    ids=["quarter turn", "turned", "nearest", "open", "table", "gamma", "two channels", "mixed"],
)
def test_what_needs_the_whole_image_is_not_done(lying, how):
    channels = how.pop("channels", 1)
    to_stored = how.pop("to_stored", [[3, 0, 1], [0, 2, 0.5]])

    assert lying(noise((1, 60, 50))).resampled((channels, 20, 25), to_stored, **(WINDOW | how)) is None


@pytest.mark.parametrize(("columns", "done"), [(16_000, True), (24_000, False)])
def test_rows_of_more_memory_than_a_panel_may_take_are_not_read_by_parts(lying, columns, done):
    """Eight outputs read 100 rows: 3 and 4.6 MiB; a part has no more than that."""
    stored, to_stored = noise((1, 400, columns)), [[10, 0, 4.5], [0, 10, 4.5]]

    columns_read = min(columns, 16_000) // 10
    made = lying(stored).resampled((1, 40, columns_read), to_stored, **WINDOW)

    assert (made is not None) is done
    if done:
        np.testing.assert_array_equal(made, from_memory(stored, (1, 40, columns_read), to_stored, **WINDOW))


@pytest.mark.parametrize("threads", [1, 4])
def test_a_file_that_ends_too_soon_is_not_done(lying, threads):
    image = lying(noise((1, 600, 500)))
    os.truncate(image.path, BEFORE + image.stored.nbytes - 1)
    whole = np.zeros_like(image.stored)

    assert image.resampled((1, 200, 250), [[3, 0, 1], [0, 2, 0.5]], threads, **WINDOW) is None
    assert not read_values(image.file, BEFORE, 0, whole)
    rows_that_are_there = image.resampled((1, 100, 250), [[3, 0, 1], [0, 2, 0.5]], threads, **WINDOW)
    assert rows_that_are_there is not None


def test_what_is_no_open_file_is_not_done(tmp_path):
    closed = os.open(tmp_path, os.O_RDONLY)  # a folder, which has no bytes
    half = Resampler(np.array([[2.0, 0, 0], [0, 2, 0]]), **plain(1, **WINDOW))
    try:
        assert not half.from_file(closed, 0, 0, (1, 6, 5), "uint8", np.zeros((1, 3, 3), np.float32))
        assert not read_values(closed, 0, 0, np.zeros(3, np.uint8))
    finally:
        os.close(closed)
    assert not read_values(closed, 0, 0, np.zeros(3, np.uint8))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({0: -1}, ValueError, "file is -1; an open file's descriptor is needed"),
        ({0: 2**31}, ValueError, "file is 2147483648"),
        ({1: -1}, ValueError, "offset is -1; 0 to 2"),
        ({1: 2**62 + 1}, ValueError, "offset is "),
        ({2: -1}, ValueError, "unused is -1; 0 to 15 bits"),
        ({2: 16}, ValueError, "unused is 16"),
        ({2: 8}, ValueError, "unused is 8 for values of 8 bits; at least one has to be used"),
        ({3: (6, 5)}, ValueError, "shape has 2 sizes; .channels, .slices,. rows, columns. is needed"),
        ({3: range(10**9)}, ValueError, "shape has 1000000000 sizes"),
        ({3: ("a", 6, 5)}, TypeError, "'str' object cannot be interpreted as an integer"),
        ({3: (1.0, 6, 5)}, TypeError, "'float' object cannot be interpreted as an integer"),
        ({3: (1, 6, 2**70)}, ValueError, "shape has size 1180591620717411303424; at most 2..20 is accepted"),
        ({3: (1, 1, 6, 5)}, ValueError, "shape has 4 axes; to_stored is a map of 2, so .channels, rows, columns."),
        ({3: (1, 0, 5)}, ValueError, "shape is empty: axis 1 has size 0"),
        ({3: (1, -3, 5)}, ValueError, "shape is empty: axis 1 has size -3"),
        ({3: (1, 2**21, 5)}, ValueError, "shape has size 2097152 on axis 1"),
        ({3: (1, 2**20, 2**20, 2**20)}, ValueError, "shape has more than 2..40 items"),
        ({4: "float32"}, ValueError, "dtype is 'float32'; there are uint8, int8, uint16, int16"),
        ({5: np.zeros((1, 3), np.float32)}, ValueError, "out has 2 axes and the image has 3"),
        ({5: np.zeros((1, 3, 3))}, TypeError, "out holds float64"),
        ({6: 0}, ValueError, "threads is 0"),
        ({3: (2, 6, 5)}, ValueError, "stored has 2 channels and out has 1; this resampler makes 1 of 1"),
    ],
)
def test_what_makes_no_sense_is_refused(change, error, words):
    how = [0, 0, 0, (1, 6, 5), "uint8", np.zeros((1, 3, 3), np.float32), 1]
    for place, value in change.items():
        how[place] = value

    with pytest.raises(error, match=words):
        Resampler(np.array([[2.0, 0, 0], [0, 2, 0]]), **plain(1, **WINDOW)).from_file(*how)


def test_where_values_cannot_be_put_is_refused():
    fixed = np.zeros(4, np.uint8)
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only or not C-contiguous"):
        read_values(0, 0, 0, fixed)
    with pytest.raises(ValueError, match="out is read-only or not C-contiguous"):
        read_values(0, 0, 0, np.zeros(8, np.uint8)[::2])
    with pytest.raises(ValueError, match="out is not aligned"):
        read_values(0, 0, 0, np.zeros(67, np.uint8)[1:67].view(np.uint16))
    with pytest.raises(TypeError, match="out holds float32"):
        read_values(0, 0, 0, np.zeros(4, np.float32))
    with pytest.raises(TypeError, match="out holds float64"):
        read_values(0, 0, 0, np.zeros(4))
    with pytest.raises(ValueError, match="unused is 9 for values of 8 bits"):
        read_values(0, 0, 9, np.zeros(4, np.uint8))


PREAD = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>
ssize_t pread64(int file, void* to, size_t count, off_t offset);
ssize_t pread(int file, void* to, size_t count, off_t offset) {
    static int calls;
    if (++calls % 3 == 0) { errno = EINTR; return -1; }
    ssize_t (*real)(int, void*, size_t, off_t) = dlsym(RTLD_NEXT, "pread64");
    return real(file, to, count > 1 ? count / 2 : count, offset);
}
"""

READS = """
import os, sys, numpy as np
from medplug._kernels import read_values
stored = np.arange(300 * 400, dtype=np.uint16)
file = os.memfd_create("image")
os.write(file, stored.tobytes())
out = np.zeros_like(stored)
assert read_values(file, 0, 0, out) and (out == stored).all()
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler to build the reading that is interrupted")
def test_reads_that_are_interrupted_or_give_less_are_gone_on_with(tmp_path):
    """As on a network file system: what stands before the C library halves each read and interrupts each third."""
    (tmp_path / "pread.c").write_text(PREAD)
    shim = tmp_path / "pread.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, tmp_path / "pread.c", "-ldl"], check=True)

    ran = subprocess.run(
        [sys.executable, "-P", "-c", READS],
        env=os.environ | {"LD_PRELOAD": f"{os.environ.get('LD_PRELOAD', '')} {shim}"},  # a sanitizer comes first
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr

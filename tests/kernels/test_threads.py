"""Threads: the bits do not depend on them, the GIL is free, and neither callers nor forks disturb one another."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from kernels.calls import noise, run
from kernels.reference import resize, rotation
from numpy.testing import assert_array_equal

MAPS = {"resize": resize((200, 150), (77, 61)), "rotation": rotation(20, 2.5, (200, 150), (77, 61))}


@pytest.mark.parametrize("which", MAPS)
@pytest.mark.parametrize("filter", ["nearest", "linear", "antialias"])
def test_an_image_has_the_same_bits_for_every_number_of_threads(filter, which):
    stored = noise((2, 200, 150), "uint16")
    alone = run(stored, (2, 77, 61), MAPS[which], filter=filter)

    for threads in range(2, 9):
        assert_array_equal(run(stored, (2, 77, 61), MAPS[which], filter=filter, threads=threads), alone)


def test_a_volume_has_the_same_bits_for_every_number_of_threads():
    stored = noise((1, 30, 40, 50), "int16")
    to_stored = resize((30, 40, 50), (37, 25, 33))
    alone = run(stored, (1, 37, 25, 33), to_stored, filter="antialias")

    for threads in range(2, 9):
        assert_array_equal(run(stored, (1, 37, 25, 33), to_stored, filter="antialias", threads=threads), alone)


def test_several_python_threads_may_call_at_once():
    images = [noise((1, 200, 150), "uint16", seed) for seed in range(8)]
    expected = [run(image, (1, 77, 61), MAPS["rotation"]) for image in images]

    with ThreadPoolExecutor(6) as executor:
        for _ in range(10):
            results = executor.map(lambda image: run(image, (1, 77, 61), MAPS["rotation"], threads=4), images)
            for result, wanted in zip(results, expected, strict=True):
                assert_array_equal(result, wanted)


def test_other_python_threads_go_on_while_a_kernel_runs():
    stored = noise((1, 4000, 4000), "uint16")
    finished = threading.Event()

    def work():
        run(stored, (1, 100, 100), rotation(20, 100, (4000, 4000), (100, 100)), filter="antialias")
        finished.set()

    thread = threading.Thread(target=work)
    thread.start()
    ticks = 0
    while not finished.is_set():
        time.sleep(0.001)
        ticks += 1
    thread.join()

    assert ticks > 10


FORK = """
import os, signal, sys
import numpy as np
from medplug._kernels import Tone, resample

def work():
    out = np.zeros((1, 64, 64), np.float32)
    stored = np.arange(64 * 64, dtype=np.uint16).reshape(1, 64, 64)
    resample(stored, out, np.eye(2, 3), before=[Tone()], after=[Tone()], filter="linear", border="edge", fill=[0.0],
             threads=4)
    return np.array_equal(out, stored)

assert work()
child = os.fork()
if child == 0:
    signal.alarm(20)
    os._exit(0 if work() else 1)
_, status = os.waitpid(child, 0)
assert work()
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_threads_of_its_own():
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"}

    child = subprocess.run([sys.executable, "-c", FORK], env=environment, capture_output=True, timeout=60)

    assert child.returncode == 0, child.stderr.decode()

"""Kept memory: used again when nobody refers to it, never while somebody does."""

import gc
import threading

import numpy as np
import pytest

from medplug.sources.kept_buffers import _LEAST, _MOST, KeptBuffers

UINT16 = np.dtype(np.uint16)
SHAPE = (1, 1024, 1024)


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_once_nothing_refers_to_it():
    buffers = KeptBuffers()
    first = buffers.empty(SHAPE, UINT16)
    assert (first.shape, first.dtype, first.flags.c_contiguous) == (SHAPE, UINT16, True)
    place = address(first)

    del first

    assert address(buffers.empty(SHAPE, UINT16)) == place
    assert address(buffers.empty((1, 900, 1000), UINT16)) == place


@pytest.mark.parametrize(
    "view", [lambda a: a[0, ::2], lambda a: a.T, lambda a: memoryview(a), lambda a: a.view(np.uint8)]
)
def test_memory_that_a_view_lies_in_is_not_used_again(view):
    buffers = KeptBuffers()
    first = buffers.empty(SHAPE, UINT16)
    first[:] = 7
    seen = view(first)
    before = np.array(seen)
    del first

    buffers.empty(SHAPE, UINT16)[:] = 9

    np.testing.assert_array_equal(seen, before)


def test_a_tensor_keeps_its_memory():
    import torch

    buffers = KeptBuffers()
    tensor = torch.from_numpy(buffers.empty(SHAPE, np.dtype(np.int16)))
    tensor[:] = 7

    buffers.empty(SHAPE, np.dtype(np.int16))[:] = 9

    assert (tensor == 7).all()


def test_other_sizes_are_not_mixed_up():
    buffers = KeptBuffers()
    large = address(buffers.empty((3 * _LEAST,), np.dtype(np.uint8)))

    assert address(buffers.empty((_LEAST,), np.dtype(np.uint8))) != large
    assert address(buffers.empty((3 * _LEAST,), np.dtype(np.uint8))) == large


def test_no_more_is_kept_than_is_said():
    buffers = KeptBuffers()
    held = [buffers.empty((_MOST // 5,), np.dtype(np.uint8)) for _ in range(9)]

    assert sum(block.size for block in buffers._blocks) <= _MOST
    del held
    gc.collect()
    assert not buffers.empty((_MOST + 1,), np.dtype(np.uint8)).base


def test_threads_never_share_memory():
    buffers = KeptBuffers()
    broken = []

    def work(number):
        for _ in range(200):
            array = buffers.empty((_LEAST,), np.dtype(np.uint8))
            array[:64] = number
            array[-64:] = number
            if (array[:64] != number).any() or (array[-64:] != number).any():
                broken.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not broken

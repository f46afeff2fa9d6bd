"""Logits on disk: what comes back is what was kept, or nothing."""

import os

import numpy as np
import pytest

from pspnet_core.inference.logit_store import LogitStore
from pspnet_core.inference.logits import LogitGrid, grid_shape


def grid(height=50, width=70, seed=0, align=False, stride=4):
    shape = grid_shape(height, width, stride, align)
    values = np.random.default_rng(seed).normal(size=(3, *shape)).astype(np.float16)
    return LogitGrid(values, stride, (4, 0, 7), height, width, align)


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (50, 70), (2000, 2000)])  # packed or not
def test_what_is_kept_comes_back(tmp_path, size, align):
    store, kept = LogitStore(tmp_path / "a"), grid(*size, align=align)
    store.put(("x", 1), kept)
    found = LogitStore(tmp_path / "a").get(("x", 1))
    np.testing.assert_array_equal(found.values, kept.values)
    assert (found.stride, found.class_ids, found.height, found.width, found.align_corners) == (
        4,
        (4, 0, 7),
        *size,
        align,
    )
    assert store.get(("x", 2)) is None


def test_damage_is_found_and_removed(tmp_path):
    store = LogitStore(tmp_path)
    store.put(("x",), grid())
    (file,) = tmp_path.glob("*.logits")
    whole = file.read_bytes()
    broken = bytearray(whole)
    broken[-5] ^= 1
    for data in (b"", whole[: len(whole) // 2], bytes(broken), b"PSPL1\n{}\n", b"something else", b"PSPL1\n[1]\nx"):
        file.write_bytes(data)
        assert store.get(("x",)) is None
        assert not file.exists()
    store.put(("x",), grid())
    assert store.get(("x",)) is not None


def test_the_oldest_go_first(tmp_path):
    size = grid(400, 400).num_bytes
    store = LogitStore(tmp_path, budget_bytes=5 * size)
    for number in range(8):
        store.put((number,), grid(400, 400, number))
        for age, file in enumerate(sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)):
            os.utime(file, ns=(age * 10**9, age * 10**9))
        store.get((0,))  # is in use
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 5 * size
    assert store.get((0,)) is not None
    assert store.get((7,)) is not None
    assert store.get((1,)) is None


def test_too_large_for_the_budget(tmp_path):
    store = LogitStore(tmp_path, budget_bytes=1000)
    store.put((1,), grid())
    assert store.get((1,)) is None

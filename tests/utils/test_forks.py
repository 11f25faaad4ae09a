"""Locks in forked processes."""

from __future__ import annotations

import multiprocessing
import threading

import pytest

from skdpnet.features import map_store
from skdpnet.images import opened
from skdpnet.utils import torch_state
from skdpnet.utils.forks import ForkSafeLock

LOCKS = {
    "DECODING": opened.DECODING,
    "_tf32_lock": map_store._tf32_lock,
    "_dtype_lock": torch_state._dtype_lock,
    "new": ForkSafeLock(),
}


def _take(lock: ForkSafeLock) -> None:
    with lock:
        pass


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(),
    reason="this system has no forks",
)
@pytest.mark.parametrize("name", LOCKS)
def test_a_forked_process_finds_a_lock_free_that_a_thread_holds(name):
    lock, is_held, may_end = LOCKS[name], threading.Event(), threading.Event()

    def hold():
        with lock:
            is_held.set()
            may_end.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert is_held.wait(60)
        child = multiprocessing.get_context("fork").Process(target=_take, args=(lock,))
        child.start()
        child.join(20)
        if child.exitcode is None:
            child.kill()
            child.join()
        assert child.exitcode == 0
    finally:
        may_end.set()
        holder.join()


def test_threads_take_turns():
    lock, entered = ForkSafeLock(), threading.Event()
    other = threading.Thread(target=lambda: (_take(lock), entered.set()))
    with lock:
        other.start()
        assert not entered.wait(0.1)
    assert entered.wait(60)
    other.join()


def test_a_reentrant_lock_is_taken_twice_by_its_thread():
    lock = ForkSafeLock(reentrant=True)
    with lock, lock:
        pass

"""Threads with one torch thread each, which change nothing for other threads."""

import os
import threading

import numpy as np
import pytest
import torch

import skdpnet.parts.maxima.threads
from skdpnet.parts.maxima.threads import available_threads, run_in_threads

CPU = torch.device("cpu")


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield 3
    torch.set_num_threads(before)


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
@pytest.mark.parametrize("n_pieces", [0, 1, 5, 9])
def test_each_thread_gets_successive_pieces(n_threads, n_pieces):
    shares = run_in_threads(list, range(n_pieces), n_threads)
    assert [piece for share in shares for piece in share] == list(range(n_pieces))
    lengths = [len(share) for share in shares]
    assert len(lengths) == min(n_threads, n_pieces)
    assert not lengths or max(lengths) - min(lengths) <= 1


def test_operations_have_one_torch_thread_and_elsewhere_as_many_as_before(
    three_threads,
):
    # Each call waits for the other, so they must run at the same time.
    together = threading.Barrier(2, timeout=60)

    def work(pieces):
        together.wait()
        torch.ones(300, 300) @ torch.ones(300, 300)
        return threading.get_ident(), torch.get_num_threads()

    (first, n), (second, m) = run_in_threads(work, range(2), 2)
    assert n == m == 1
    assert len({first, second, threading.get_ident()}) == 3
    assert torch.get_num_threads() == available_threads(CPU) == 3
    n_later = []
    later = threading.Thread(target=lambda: n_later.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert n_later == [3]


def test_work_that_uses_threads_does_not_wait_for_itself():
    def work(pieces):
        return run_in_threads(list, range(4), available_threads(CPU))

    assert run_in_threads(work, range(2), 2) == [[[0, 1, 2, 3]]] * 2


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_threads_have_the_inference_mode_of_the_caller(mode):
    def work(pieces):
        out[pieces] = 1
        return torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    with mode():
        out = torch.zeros(6)
        modes = run_in_threads(work, np.arange(6), 3)
    assert modes == [(mode is torch.inference_mode, False)] * 3
    assert (out == 1).all()


def test_an_error_in_a_thread_is_raised_in_the_caller():
    def work(pieces):
        raise ValueError(f"piece {pieces[0]}")

    with pytest.raises(ValueError, match="piece 0"):
        run_in_threads(work, range(4), 2)
    assert run_in_threads(sum, range(4), 2) == [1, 5]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_starts_new_threads():
    run_in_threads(sum, range(4), 2)
    assert skdpnet.parts.maxima.threads._pool is not None
    child = os.fork()
    if child == 0:
        # The child must not continue with the tests.
        os._exit(0 if skdpnet.parts.maxima.threads._pool is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

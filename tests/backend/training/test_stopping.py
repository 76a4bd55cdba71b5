from __future__ import annotations

import os
import signal
import threading

import pytest

from backend.training.stopping import Stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_once_and_then_does_what_it_did(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Stop() as stop:
        assert stop.reason() is None
        os.kill(os.getpid(), number)
        assert stop.reason() == f"Stopped by {number.name}"
        assert signal.getsignal(number) is before
    assert signal.getsignal(number) is before


def test_signals_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Stop():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_minutes_count_from_the_beginning() -> None:
    now = 100.0
    stop = Stop(minutes=1.5, clock=lambda: now)
    now = 189.9
    assert stop.reason() is None
    now = 190.0
    assert stop.reason() == "The 1.5 minutes are over: stopped"


def test_another_thread_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    found = []

    def inside() -> None:
        with Stop() as stop:
            found.append((signal.getsignal(signal.SIGTERM), stop.reason()))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert found == [(before, None)]

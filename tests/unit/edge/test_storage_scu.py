"""Who gets an answer: the caller who waits for it, never the association's own thread."""

import threading
from types import SimpleNamespace

from service.edge.storage_scu import Checkpoint


def test_a_thread_that_has_passed_the_checkpoint_no_longer_counts_as_paused() -> None:
    association = SimpleNamespace(_is_paused=True)
    assert Checkpoint(association).wait()
    assert not association._is_paused


def test_a_thread_at_a_closed_checkpoint_stays_paused_until_it_is_opened() -> None:
    association = SimpleNamespace(_is_paused=True)
    checkpoint = Checkpoint(association)
    checkpoint.clear()
    waiting = threading.Thread(target=checkpoint.wait)
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    assert association._is_paused
    checkpoint.set()
    waiting.join(5)
    assert not association._is_paused

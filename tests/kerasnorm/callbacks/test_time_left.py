import pytest

from kerasnorm.callbacks.time_left import TimeLeft


def test_the_first_epoch_is_estimated_from_its_batches_without_the_first() -> None:
    left = TimeLeft(epochs=3, steps=10)
    left.epoch_begins(0, now=100.0)
    assert left.seconds(101.0) is None
    left.batches_are_done(1, 130.0)  # compiled
    assert left.seconds(131.0) is None
    left.batches_are_done(3, 134.0)
    assert left.seconds(134.0) == 2.0 * (7 + 20)


def test_the_following_epochs_are_estimated_from_those_before() -> None:
    left = TimeLeft(epochs=10, steps=None)
    left.epoch_begins(0, now=0.0)
    assert left.epoch_ends(50.0) == 50.0
    assert left.seconds(50.0) == 9 * 50.0  # there is no other yet
    left.epoch_ends(60.0)
    assert left.seconds(60.0) == 8 * 10.0  # the first one, which compiled, no longer counts
    assert left.seconds(64.0) == 8 * 10.0 - 4.0
    assert left.seconds(99.0) == 7 * 10.0  # this epoch takes longer than expected
    now = 60.0
    for seconds in (11.0, 1000.0, 12.0, 13.0, 12.0):
        now += seconds
        left.epoch_ends(now)
    assert left.seconds(now) == 3 * 12.0  # the median of the last five
    for _ in range(3):
        now += 12.0
        left.epoch_ends(now)
    assert left.seconds(now) == 0.0


@pytest.mark.parametrize("first", [0, 20])
def test_a_resumed_training_counts_what_is_left(first: int) -> None:
    left = TimeLeft(epochs=25, steps=100)
    left.epoch_begins(first, now=0.0)
    left.epoch_ends(10.0)
    assert left.seconds(10.0) == (24 - first) * 10.0


def test_nothing_tells_without_the_number_of_epochs() -> None:
    left = TimeLeft(epochs=None, steps=10)
    left.epoch_begins(0, now=0.0)
    left.batches_are_done(1, 1.0)
    left.batches_are_done(2, 2.0)
    left.epoch_ends(10.0)
    assert left.seconds(10.0) is None

"""The peak memory of the process."""

import numpy as np

from export.parity.memory import peak_memory


def test_peak_memory_counts_what_was_allocated() -> None:
    before = peak_memory()
    size = 2**28
    array = np.ones(size, np.uint8)
    after = peak_memory()
    assert before is not None
    assert after is not None
    assert after >= size
    assert after >= before
    assert array[-1] == 1

import os

import pytest

from kerasnorm.study.local_engine import core_shares


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs a system with CPU affinity")
def test_jobs_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {7, 2, 4, 5, 9})
    assert core_shares(1) == [[]]
    assert core_shares(2) == [[2, 5, 9], [4, 7]]
    assert core_shares(6) == [[2], [4], [5], [7], [9], [2]]

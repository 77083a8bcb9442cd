import time

import pytest

from export.timing import summarize, time_calls


def test_calls_take_turns() -> None:
    order: list[str] = []

    def call(name: str) -> None:
        order.append(name)
        time.sleep(0.001)

    times = time_calls({"a": lambda: call("a"), "b": lambda: call("b")}, 0.3)
    turns = [name for index, name in enumerate(order) if index == 0 or order[index - 1] != name]
    assert turns == ["a", "b"] * (len(turns) // 2)
    assert len(turns) >= 6
    # The calls at the start of a turn are not counted.
    assert len(order) > sum(len(values) for values in times.values())


def test_calls_of_different_length() -> None:
    times = time_calls({"quick": lambda: time.sleep(0.001), "slow": lambda: time.sleep(0.004)}, 0.3)
    quick, slow = (summarize(times[name], batch=2) for name in ("quick", "slow"))
    assert 1 <= quick["median_ms"] < 3 < slow["median_ms"] < 8
    assert quick["p05_ms"] <= quick["median_ms"] <= quick["p95_ms"]
    assert quick["images_per_second"] == pytest.approx(2000 / quick["median_ms"], rel=1e-12)


def test_each_call_is_counted_20_times_at_least() -> None:
    times = time_calls({"quick": lambda: None, "slow": lambda: time.sleep(0.01)}, 0.01)
    assert min(len(values) for values in times.values()) >= 20


def test_summary() -> None:
    summary = summarize([float(value) for value in range(101)], batch=4)
    assert summary == {"median_ms": 50, "p05_ms": 5, "p95_ms": 95, "images_per_second": 80, "calls": 101}

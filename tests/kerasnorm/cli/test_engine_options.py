import argparse
import sys
from pathlib import Path

import pytest

from kerasnorm import RECIPES
from kerasnorm.cli.engine_options import add_engine_options, check_engine, engine_from
from kerasnorm.cli.recipe_options import add_tensorboard_option
from kerasnorm.study.local_engine import LocalEngine
from kerasnorm.study.training import Training


def parsed(options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_tensorboard_option(parser)
    add_engine_options(parser)
    return parser.parse_args(options.split())


TRAINING = Training(RECIPES["documented"], "digits")
DASK = "--engine dask --scheduler tcp://10.0.0.1:8786"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--jobs 0", "jobs: expected 1 or more, got 0"),
        (f"{DASK} --cores 0", "cores: expected 1 or more, got 0"),
        (f"{DASK} --worker-timeout -1", "worker-timeout: expected 0 seconds or more, got -1"),
        (f"{DASK} --worker-timeout nan", "worker-timeout: expected 0 seconds or more, got nan"),
        ("--cores 2", "cores: expected --engine dask with it, got --engine local; add --engine dask"),
        ("--shared-runs", "shared-runs: expected --engine dask with it, got --engine local"),
        ("--worker-timeout 5", "worker-timeout: expected --engine dask with it, got --engine local"),
        (f"{DASK} --tensorboard", "tensorboard: expected --shared-runs and no DIR with --engine dask"),
        (f"{DASK} --shared-runs --tensorboard t", "tensorboard: expected --shared-runs and no DIR"),
        (f"{DASK} --jobs 2", "jobs: expected none with --engine dask, where the workers decide"),
        (
            "--engine dask",
            "scheduler: expected the address of a Dask scheduler, got none; give --scheduler ADDRESS",
        ),
    ],
)
def test_options_that_do_not_fit(options: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_engine(parsed(options))


def test_dask_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(
        ValueError,
        match=r"engine: expected Dask's package distributed for --engine dask, got .*; run: pip install "
        r"'kerasnorm\[distributed\]'",
    ):
        check_engine(parsed(DASK))
    check_engine(parsed("--jobs 2"))


def test_the_local_engine_is_the_default() -> None:
    arguments = parsed("--jobs 3")
    with engine_from(arguments, TRAINING, print) as engine:
        assert isinstance(engine, LocalEngine)
        assert engine.places() == 3


def test_dask_with_all_options(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="needs Dask: pip install 'kerasnorm[distributed]'")
    called: list[object] = []
    monkeypatch.setattr(
        "kerasnorm.study.dask_engine.dask_engine", lambda *arguments: called.extend(arguments)
    )
    arguments = parsed(f"{DASK} --cores 4 --shared-runs --worker-timeout 600 --tensorboard")
    check_engine(arguments)
    arguments.runs = "runs"
    engine_from(arguments, TRAINING, print)
    assert str(called[0]) == "Cluster(address='tcp://10.0.0.1:8786', cores=4, shared=True, patience=600.0)"
    assert called[1:3] == [TRAINING, Path("runs")]

"""A real scheduler and two workers on this machine. What they train is a stand-in, except in the slow tests."""

import dataclasses
import io
import json
import os
import signal
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import h5py
import numpy as np
import pytest

pytest.importorskip("distributed", reason="needs Dask: pip install 'kerasnorm[distributed]'")

from kerasnorm import RECIPES, rundir
from kerasnorm.study.dask_engine import Cluster, DaskEngine, dask_engine
from kerasnorm.study.environment import DATA, environment
from kerasnorm.study.local_engine import local_engine
from kerasnorm.study.plan import Run, plan
from kerasnorm.study.run import train_all
from kerasnorm.study.training import Training, training_command
from tests.kerasnorm.study.dask_cluster import DaskCluster, is_running, wait_until
from tests.kerasnorm.study.fake_training import write_run

RECIPE = RECIPES["documented"]


class Tiny:
    """A study of tiny images on a cluster.

    Attributes:
        folder: the folder of the run directories.
        said: the lines that the study has said.
    """

    def __init__(self, cluster: DaskCluster, folder: Path) -> None:
        self.cluster, self.folder, self.said = cluster, folder, list[str]()
        self.data = folder.parent / "tiny.npz"
        random = np.random.default_rng(0)
        images: np.ndarray = random.integers(0, 256, (28, 8, 8), np.uint8)
        labels: np.ndarray = np.arange(28) % 2
        np.savez(self.data, x_train=images[:20], y_train=labels[:20], x_test=images[20:], y_test=labels[20:])
        self.runs = plan(["bn", "gn"], 2, "tiny", RECIPE, folder)

    def train(self, runs: list[Run] | None = None, **settings: object) -> None:
        train_all(runs or self.runs, self.engine(**settings), self.said.append)

    def engine(self, **settings: object) -> AbstractContextManager[DaskEngine]:
        cluster = Cluster(self.cluster.address, **settings)  # type: ignore[arg-type]
        return dask_engine(cluster, Training(RECIPE, str(self.data)), self.folder, self.said.append)

    def left_on_workers(self) -> list[Path]:
        return list((self.cluster.folder / "scratch").glob("*/kerasnorm-*"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    cluster = DaskCluster(tmp_path_factory.mktemp("cluster"))
    try:
        for _ in range(2):
            cluster.add_worker()
        wait_until(lambda: cluster.log("worker*").count("Registered to") == 2, cluster)
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def tiny(cluster: DaskCluster, tmp_path: Path) -> Iterator[Tiny]:
    for file in cluster.started.iterdir():
        file.unlink()
    yield Tiny(cluster, tmp_path / "runs")
    cluster.hold.unlink(missing_ok=True)


def meanwhile(action: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=action)
    thread.start()
    return thread


def test_runs_come_back_as_files(tiny: Tiny, tmp_path: Path) -> None:
    tiny.train()
    assert len(tiny.said) == 5
    assert tiny.said[0].startswith(f"scheduler {tiny.cluster.address}: 2 runs at a time; dashboard: http://")
    sha256 = environment(str(tiny.data))[DATA]
    for run in tiny.runs:
        expected = tmp_path / "expected" / run.path.name
        expected.mkdir(parents=True)
        recipe = dataclasses.asdict(RECIPE.for_norm(run.norm))
        write_run(expected, run.norm, run.seed, recipe, sha256)
        assert {file.name: file.read_bytes() for file in run.path.iterdir()} == {
            file.name: file.read_bytes() for file in expected.iterdir()
        }
    assert sorted(path.name for path in tiny.folder.iterdir()) == sorted(run.path.name for run in tiny.runs)
    assert tiny.left_on_workers() == []


def test_a_shared_folder_needs_no_copies(tiny: Tiny) -> None:
    tiny.train(tiny.runs[:2], shared=True)
    assert all(run.complete for run in tiny.runs[:2])
    assert sorted(path.name for path in tiny.folder.iterdir()) == sorted(
        run.path.name for run in tiny.runs[:2]
    )


def test_an_interrupt_stops_the_trainings_and_the_study_continues(tiny: Tiny) -> None:
    tiny.cluster.hold.touch()

    def interrupt() -> None:
        wait_until(lambda: len(tiny.cluster.trainings()) == 2, tiny.cluster)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = meanwhile(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            tiny.train()
    finally:
        signal.signal(signal.SIGINT, before)
        thread.join()
    assert not any(map(is_running, tiny.cluster.trainings()))
    assert len(tiny.left_on_workers()) == 1
    tiny.cluster.hold.unlink()
    tiny.train(tiny.runs[:2])
    assert all(run.complete for run in tiny.runs[:2])
    assert tiny.left_on_workers() == []


def test_the_run_of_a_killed_worker_is_trained_again(tiny: Tiny) -> None:
    name = tiny.runs[0].path.name
    tiny.cluster.hold.touch()

    def kill() -> None:
        wait_until(lambda: bool(tiny.cluster.trainings(name)), tiny.cluster)
        training = tiny.cluster.trainings(name)[0]
        os.kill(parent_of(training), signal.SIGKILL)
        wait_until(lambda: not is_running(training), tiny.cluster)
        tiny.cluster.hold.unlink()

    thread = meanwhile(kill)
    tiny.train(tiny.runs[:2])
    thread.join()
    assert len(tiny.cluster.trainings(name)) == 2
    assert all(run.complete for run in tiny.runs[:2])


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("Python", "make both the same"),
        ("tensorflow", "make both the same"),
        (DATA, "put the same file there"),
    ],
)
def test_a_worker_with_another_environment(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, name: str, way_out: str
) -> None:
    there = environment(str(tiny.data))
    monkeypatch.setattr("kerasnorm.study.dask_engine.environment", lambda *_: {**there, name: "0.1"})
    with pytest.raises(
        ValueError, match=rf"^worker tcp://\S+: expected {name} 0\.1, got {there[name]}; {way_out}$"
    ):
        tiny.train()
    assert tiny.cluster.trainings() == []


def test_a_worker_without_the_data(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    def once(*arguments: object) -> dict[str, str]:
        found = environment(str(tiny.data))
        tiny.data.unlink()
        return found

    monkeypatch.setattr("kerasnorm.study.dask_engine.environment", once)
    with pytest.raises(
        ValueError,
        match=r"^worker tcp://\S+: \S+/tiny\.npz: expected a \.npz file, found nothing of that name",
    ):
        tiny.train()


def test_a_failed_run_names_its_worker(tiny: Tiny) -> None:
    runs = [Run("xn", 0, tiny.folder / "xn-tiny-documented-seed0")]
    with pytest.raises(ValueError, match=r"^worker tcp://\S+: \S+/xn-tiny\S+: .*invalid choice: 'xn'"):
        tiny.train(runs)


def test_no_worker_with_enough_cores(tiny: Tiny) -> None:
    with pytest.raises(
        ValueError,
        match=r"^scheduler tcp://\S+: expected a worker with the resource cores=3 or more within 0\.1 s, got 2 with "
        r"1 cores at most; start one with 'dask worker tcp://\S+ --nthreads N --resources cores=N'",
    ):
        tiny.train(cores=3, patience=0.1)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nowhere", "ftp://127.0.0.1:1"])
def test_a_scheduler_that_can_not_be_reached(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, address: str, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kerasnorm.study.dask_engine.CONNECT_SECONDS", 0.5)
    monkeypatch.setattr(tiny.cluster, "address", address)
    with pytest.raises(
        ValueError, match=rf"^scheduler: expected the address of a running Dask scheduler, .* got {address}: "
    ):
        tiny.train()
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_a_scheduler_that_goes(tmp_path: Path) -> None:
    cluster = DaskCluster(tmp_path)
    try:
        cluster.add_worker()
        cluster.hold.touch()
        tiny = Tiny(cluster, tmp_path / "runs")

        def kill() -> None:
            wait_until(lambda: bool(cluster.trainings()), cluster)
            cluster.scheduler.kill()

        thread = meanwhile(kill)
        with pytest.raises(
            ValueError,
            match=r"^scheduler tcp://\S+: expected a connection until the study ends, got none any more",
        ):
            tiny.train()
        thread.join()
        wait_until(lambda: not any(map(is_running, cluster.trainings())), cluster)
    finally:
        cluster.close()


@pytest.mark.slow
def test_trainings_on_a_cluster_give_the_bits_of_this_machine(tmp_path: Path) -> None:
    """A worker is killed after the first epoch of a run, which is resumed from its checkpoint."""
    recipe = dataclasses.replace(RECIPE, epochs=2)
    training = Training(recipe, "digits")
    folders = {name: tmp_path / name for name in ("local", "dask", "shared")}
    runs = {name: plan(["bn", "gn"], 1, "digits", recipe, folder) for name, folder in folders.items()}
    train_all(runs["local"], local_engine(dataclasses.replace(training, options=("--cores", "1"))))
    cluster = DaskCluster(tmp_path / "cluster", trains=True)
    try:
        for _ in range(2):
            cluster.add_worker()
        for name in ("dask", "shared"):
            settings = Cluster(cluster.address, shared=name == "shared")

            def kill(
                folder: Path = folders[name] if name == "shared" else cluster.folder / "scratch",
            ) -> None:
                wait_until(lambda: bool(list(folder.rglob("bn-*/checkpoint.npz"))), cluster, 600)
                os.kill(parent_of(training_of("bn")), signal.SIGKILL)

            thread = meanwhile(kill)
            train_all(runs[name], dask_engine(settings, training, folders[name]))
            thread.join()
    finally:
        cluster.close()
    for name in ("dask", "shared"):
        for one, other in zip(runs["local"], runs[name], strict=True):
            assert_same_run(one.path, other.path)


def training_of(norm: str) -> int:
    """Return the process that trains a norm, by its arguments."""
    wanted = training_command(Run(norm, 0, Path()), Path(), [])[1:6]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().decode().split("\0")
        except OSError:  # it has ended
            continue
        if arguments[1:6] == wanted:
            return int(path.parent.name)
    raise AssertionError(f"no training of {norm}")


def assert_same_run(one: Path, other: Path) -> None:
    """The files are the same but for times and folders."""
    assert sorted(file.name for file in one.iterdir()) == sorted(file.name for file in other.iterdir())
    for name in (rundir.CURVES, rundir.MISCLASSIFIED, rundir.ONNX):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    for name in (rundir.CONFIG, rundir.METRICS):
        first, second = (json.loads((path / name).read_text()) for path in (one, other))
        assert {**first, "seconds": 0} == {**second, "seconds": 0}
    assert weights(one) == weights(other)


def weights(run: Path) -> dict[str, bytes]:
    """Return the bytes of each weight of a run's model."""
    values: dict[str, bytes] = {}

    def add(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            values[name] = item[()].tobytes()

    with zipfile.ZipFile(run / rundir.MODEL) as archive:
        saved = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(saved) as file:
        file.visititems(add)
    return values

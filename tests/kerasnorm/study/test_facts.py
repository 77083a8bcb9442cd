import json
from datetime import date
from pathlib import Path

from kerasnorm.study.facts import facts
from kerasnorm.study.plan import Run
from tests.kerasnorm.study.finished import finished


def change(run: Run, **changes: object) -> None:
    """Change config.json of a run; None removes a value."""
    config = {key: value for key, value in {**run.config, **changes}.items() if value is not None}
    (run.path / "config.json").write_text(json.dumps(config))


def test_facts_of_runs_on_one_machine(tmp_path: Path) -> None:
    runs = [finished(tmp_path, "bn", seed, 0.99) for seed in range(3)]
    assert facts(runs, date(2026, 11, 30)) == [
        ("Data", ["pets: 60,000 training images, 10,000 test images, 28×28×1 pixels, 3 classes"]),
        ("SHA-256", ["0123456789abcdef"]),
        ("Machine", ["Some CPU, 2 cores, Linux"]),
        ("Versions", ["kerasnorm 0.2.0"]),
        ("Time", ["60 seconds for a run (median of 3)"]),
        ("Date", ["trained 2026-11-20 to 2026-11-22, report of 2026-11-30"]),
    ]


def test_runs_of_an_older_version_have_neither_processor_nor_date(tmp_path: Path) -> None:
    run = finished(tmp_path, "bn", 0, 0.99)
    change(run, processor=None, cores=None, date=None)
    found = dict(facts([run], date(2026, 11, 30)))
    assert (found["Machine"], found["Date"]) == (["Linux"], ["report of 2026-11-30"])


def test_machines_and_data_that_differ(tmp_path: Path) -> None:
    runs = [finished(tmp_path, "bn", seed, 0.99) for seed in range(3)]
    change(runs[1], machine="macOS", processor="", cores=1)
    found = dict(facts(runs, date(2026, 11, 30)))
    assert found["Machine"] == ["Some CPU, 2 cores, Linux", "1 core, macOS"]
    change(runs[2], data={**runs[2].config["data"], "sha256": "f00", "test_images": 5})
    found = dict(facts(runs, date(2026, 11, 30)))
    assert found["Data"][0] == "Warning: the runs were trained on different data."
    assert len(found["Data"]) == 3
    assert found["SHA-256"] == ["0123456789abcdef", "f00"]

from pathlib import Path

from kerasnorm.machine import describe_machine, processor


def test_the_machine_has_cores() -> None:
    found = describe_machine()
    assert list(found) == ["machine", "processor", "cores"]
    assert found["cores"] >= 1


def test_name_of_the_processor(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: AMD EPYC 9B14\nprocessor\t: 1\nmodel name\t: another\n")
    assert processor(file) == "AMD EPYC 9B14"
    file.write_text("nothing of use\n")
    assert isinstance(processor(file), str)
    assert isinstance(processor(tmp_path / "none"), str)

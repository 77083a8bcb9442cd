"""export_model: what it writes, and where."""

import json
from pathlib import Path

import keras
import onnx

from export.convert import Options
from export.export import check_layerwise, export_model
from tests.export.helpers import functional

L = keras.layers


def model() -> keras.Model:
    layers = [L.Conv2D(4, 3, name="conv"), L.BatchNormalization(name="norm"), L.ReLU(), L.Flatten()]
    return functional((6, 6, 1), *layers, L.Dense(3, name="head"), seed=1)


def test_report_is_written_beside_the_model_and_says_how_the_graph_was_made(tmp_path: Path) -> None:
    exported = export_model(model(), tmp_path / "small.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.onnx", "small.parity.json"]
    report = json.loads((tmp_path / "small.parity.json").read_text())
    assert report["passed"] is True
    assert (report["route"], report["opset"]) == ("direct", 17)
    assert report["folded"] == ["norm: into the preceding conv"]
    assert report["not_folded"] == []
    assert sum(report["nodes"].values()) == len(exported.conversion.model.graph.node)


def test_report_goes_where_it_is_asked_to(tmp_path: Path) -> None:
    export_model(model(), tmp_path / "small.onnx", report=tmp_path / "report.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "small.onnx"]


def test_file_is_the_checked_graph(tmp_path: Path) -> None:
    exported = export_model(model(), tmp_path / "small.onnx", Options(opset=18))
    assert onnx.load(tmp_path / "small.onnx") == exported.conversion.model
    metadata = {entry.key: entry.value for entry in exported.conversion.model.metadata_props}
    assert json.loads(metadata["parity"])["max_abs"] == exported.parity.max_abs


def test_layerwise_check_of_a_right_graph_names_no_layer() -> None:
    parity, first = check_layerwise(
        model(), Options(), atol=1e-5, rtol=1e-4, data=None, source="seeded random data"
    )
    assert parity.passed
    assert first is None

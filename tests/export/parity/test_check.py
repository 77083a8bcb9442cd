import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from keras import ops
from onnx import numpy_helper

from export.convert import Conversion, Options, convert, convert_layerwise
from export.errors import CheckError, ParityError, UserError
from export.export import check_layerwise, export_model
from export.parity import check_parity, first_divergence
from export.parity.report import LOGITS
from kerasnorm import build_cnn
from tests.export.helpers import functional

L = keras.layers
MODEL = functional((8, 8, 1), L.Conv2D(4, 3), L.ReLU(), L.GroupNormalization(2), L.Flatten(), L.Dense(3))


def spoil(conversion: Conversion, by: float, kind: str = "Gemm") -> None:
    """Change one number of a node's kernel."""
    graph = conversion.model.graph
    name = next(node for node in graph.node if node.op_type == kind).input[1]
    tensor = next(value for value in graph.initializer if value.name == name)
    array = numpy_helper.to_array(tensor).copy()
    array.flat[0] += by
    tensor.CopyFrom(numpy_helper.from_array(array, name))


def test_what_is_compared_and_reported() -> None:
    conversion = convert(MODEL)
    parity = check_parity(MODEL, conversion, Options())
    assert parity.passed
    data = [*(f"batch {n}" for n in (1, 2, 7, 32, 256)), "constant", "large mean", "out of range"]
    assert [d.data for d in parity.differences] == data * 2
    assert [d.optimizations for d in parity.differences] == ["off"] * 8 + ["on"] * 8
    assert [d.rows for d in parity.differences] == [1, 2, 7, 32, 256, 1, 1, 2] * 2
    assert parity.rows == 1 + 2 + 7 + 32 + 256
    assert parity.oracle == "Keras in float64"
    assert parity.notes == []
    assert all(d.nan == 0 and d.argmax_agreement == 1 for d in parity.differences)
    assert 0 < parity.max_abs < 1e-5
    assert all(d.rounding == 0 for d in parity.differences)  # measured only where a graph fails
    json.dumps(parity.as_json(), allow_nan=False)


@pytest.mark.parametrize("by", [1e-3, float("nan"), float("inf")])
def test_a_wrong_graph_is_found(by: float) -> None:
    conversion = convert(MODEL)
    spoil(conversion, by)
    parity = check_parity(MODEL, conversion, Options())
    assert not parity.passed
    if by == 1e-3:
        worst = max(d.max_abs for d in parity.differences)
        assert 1e-5 < worst < 1e-1
    else:
        assert all(d.nan > 0 for d in parity.differences)
    unusual = ("constant", "large mean", "out of range")
    assert all((d.rounding > 0) == (d.data in unusual) for d in parity.differences)
    assert "above tolerance" in parity.table()


def one_pass_variance(input_range: tuple[float, float]) -> tuple[keras.Model, Conversion]:
    """A group normalization, and a graph that computes mean(x^2) - mean(x)^2 in float32."""
    model = functional((8, 8, 1), L.GroupNormalization(1, epsilon=1e-5), seed=1)
    x = onnx.helper.make_tensor_value_info("x", 1, ["batch", 8, 8, 1])
    gamma, beta = (numpy_helper.from_array(w.numpy(), n) for w, n in zip(model.weights, "gb", strict=True))
    make = onnx.helper.make_node
    nodes = [
        make("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3]),
        make("Mul", ["x", "x"], ["squares"]),
        make("ReduceMean", ["squares"], ["mean2"], axes=[1, 2, 3]),
        make("Mul", ["mean", "mean"], ["meanmean"]),
        make("Sub", ["mean2", "meanmean"], ["variance"]),
        make("Max", ["variance", "zero"], ["positive"]),
        make("Add", ["positive", "epsilon"], ["shifted"]),
        make("Sqrt", ["shifted"], ["std"]),
        make("Sub", ["x", "mean"], ["centred"]),
        make("Div", ["centred", "std"], ["normal"]),
        make("Mul", ["normal", "g"], ["scaled"]),
        make("Add", ["scaled", "b"], ["y"]),
    ]
    constants = [numpy_helper.from_array(np.float32(v), n) for v, n in ((0, "zero"), (1e-5, "epsilon"))]
    y = onnx.helper.make_tensor_value_info("y", 1, ["batch", 8, 8, 1])
    graph = onnx.helper.make_graph(nodes, "one-pass", [x], [y], [gamma, beta, *constants])
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    conversion = convert(model, Options(input_range=input_range))
    conversion.model.CopyFrom(proto)
    conversion.outputs[:] = ["y"]
    return model, conversion


def test_a_variance_in_one_pass_is_found() -> None:
    # Right on usual images, wrong on those of large mean.
    model, conversion = one_pass_variance((50.0, 150.0))
    parity = check_parity(model, conversion, atol=1e-2, rtol=1e-2)
    assert {d.data for d in parity.differences if not d.within} == {"large mean"}


def test_a_variance_in_one_pass_is_found_on_every_image_of_large_mean() -> None:
    # Against float64, the digits that it loses on regular images of this range are seen, too: 1e-4 of the output.
    model, conversion = one_pass_variance((900.0, 1000.0))
    parity = check_parity(model, conversion, Options(), atol=1e-2, rtol=1e-2)
    failed = {d.data for d in parity.differences if not d.within}
    assert failed > {"large mean", "batch 32"}


def test_tolerance_of_the_user_is_of_the_outputs_alone() -> None:
    # Logits of size 1e5 err by 1e-2; their probabilities are 0 and 1.
    model = functional((8,), L.Dense(64), L.Dense(3, activation="softmax"))
    first, last = model.layers[-2:]
    first.set_weights([1e5 * weight for weight in first.get_weights()])
    last.set_weights([np.abs(last.get_weights()[0]) * [1, 2, 4], np.zeros(3)])
    parity = check_parity(model, convert(model), atol=1e-6, rtol=1e-9)
    assert max(d.max_abs for d in parity.differences if d.tensor == LOGITS) > 1e-4
    assert parity.passed, parity.table()


def test_nothing_is_written_above_tolerance(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("earlier")
    with pytest.raises(ParityError, match=r"got a difference of up to .* nothing was written") as caught:
        export_model(MODEL, path, atol=0, rtol=0)
    assert not caught.value.parity.passed
    assert isinstance(caught.value, CheckError)
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_model_and_report_are_written(tmp_path: Path) -> None:
    done = export_model(MODEL, tmp_path / "model.onnx")
    report = json.loads((tmp_path / "model.parity.json").read_text())
    assert report["passed"] is True
    assert report["max_abs"] == done.parity.max_abs
    assert report["route"] == "direct"
    assert len(report["differences"]) == 16
    assert report["oracle"] == "Keras in float64"
    assert report["rows"] == 298
    metadata = {entry.key: entry.value for entry in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert json.loads(metadata["parity"])["max_abs"] == done.parity.max_abs


def test_layerwise_compares_after_every_layer() -> None:
    inner = keras.Sequential([keras.Input((6, 6, 4)), L.Conv2D(3, 3), L.ReLU()], name="inner")
    model = functional((8, 8, 1), L.Conv2D(4, 3, name="first"), inner, L.Flatten(), L.Dense(2, name="last"))
    arguments = {"atol": 1e-5, "rtol": 1e-4, "data": None, "source": "random"}
    parity, first = check_layerwise(model, Options(), **arguments)  # type: ignore[arg-type]
    assert first is None
    names = [d.output.split(":")[1] for d in parity.differences[:6]]
    assert names[0] == "first"
    assert [name.split("/")[0] for name in names[1:4]] == ["inner"] * 3
    assert names[-1] == "last"


def test_layerwise_names_the_first_layer_that_diverges() -> None:
    model = functional(
        (8, 8, 1), L.Conv2D(4, 3, name="one"), L.Conv2D(4, 3, name="two"), L.Conv2D(4, 3, name="three")
    )
    conversion = convert_layerwise(model, Options())
    graph = conversion.model.graph
    second = [node for node in graph.node if node.op_type == "Conv"][1]
    tensor = next(value for value in graph.initializer if value.name == second.input[1])
    array = numpy_helper.to_array(tensor) * np.float32(1.01)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))

    from export.keras_graph import layer_outputs

    parity = check_parity(
        model,
        conversion,
        Options(),
        reference=lambda arrays: [
            np.asarray(v) for _, v in layer_outputs(model, [a.astype("float32") for a in arrays])
        ],
    )
    assert first_divergence(parity, conversion.layers) == "two"


@pytest.mark.parametrize("norm", ["bn", "ln", "gn"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_parity_of_our_cnn_before_any_training(norm: str, seed: int) -> None:
    keras.utils.set_random_seed(seed)
    model = build_cnn(norm)
    assert check_parity(model, convert(model), Options()).passed


def edit(conversion: Conversion, change: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...]) -> None:
    """Change the initializer of a shape."""
    tensor = next(t for t in conversion.model.graph.initializer if tuple(t.dims) == shape)
    array = change(numpy_helper.to_array(tensor).copy()).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


@pytest.mark.parametrize("dtype", ["int32", None])
@pytest.mark.parametrize("row", [2, 999])
def test_a_wrong_row_of_an_embedding_is_found(dtype: str | None, row: int) -> None:
    inputs = keras.Input((12,), dtype=dtype)
    x = L.GlobalAveragePooling1D()(L.Embedding(1000, 8, embeddings_initializer="normal")(inputs))
    model = keras.Model(inputs, L.Dense(3)(x))
    conversion = convert(model)
    assert check_parity(model, conversion).passed

    def spoil_row(array: np.ndarray) -> np.ndarray:
        array[row] += 1
        return array

    edit(conversion, spoil_row, (1000, 8))
    assert not check_parity(model, conversion).passed


def test_a_fault_before_a_saturated_softmax_is_found_in_the_logits() -> None:
    model = functional((8,), L.Dense(16, activation="relu"), L.Dense(5, activation="softmax"))
    model.layers[-1].kernel.assign(model.layers[-1].kernel * 1e6)  # all probabilities are 0 or 1
    conversion = convert(model)
    assert check_parity(model, conversion).passed
    edit(conversion, lambda array: array * (1 + 2e-4 * (np.arange(16) == 3)), (8, 16))
    parity = check_parity(model, conversion)
    assert {d.tensor for d in parity.differences if not d.within} == {"logits"}
    assert "(logits)" in parity.table()


def test_a_dropped_softmax_is_found() -> None:
    model = functional((8,), L.Dense(5, activation="softmax"))
    conversion = convert(model)
    node = next(node for node in conversion.model.graph.node if node.op_type == "Softmax")
    node.op_type = "Identity"
    del node.attribute[:]
    parity = check_parity(model, conversion)
    assert not parity.passed
    assert parity.notes == ["the logits of 'probabilities' were not compared: the graph has none"]


def test_all_rows_of_the_data_are_compared() -> None:
    model = functional((4,), L.Dense(3))
    conversion = convert(model)
    data = np.zeros((1000, 4), np.float32)
    data[777] = 1
    parity = check_parity(model, conversion, data=[data], source="rows", progress=lambda done, total: None)
    assert parity.passed
    assert parity.rows == 1000
    assert parity.source == "rows"
    edit(conversion, lambda array: array + 1e-3, (4, 3))
    failed = [d for d in check_parity(model, conversion, data=[data]).differences if not d.within]
    assert {d.data for d in failed if d.data.startswith("batch")} == {"batch 256"}


def test_data_of_which_keras_computes_nothing_but_nan() -> None:
    model = functional((4,), L.Dense(3))
    conversion = convert(model)
    data = np.full((20, 4), np.nan, np.float32)
    with pytest.raises(UserError, match=r"got NaN or infinity in 'dense.*' for all 20 rows; give others, or"):
        check_parity(model, conversion, data=[data])
    data[1:] = 1
    parity = check_parity(model, conversion, data=[data])
    assert parity.passed
    assert parity.rows == 20  # some of them are compared in several batches
    assert parity.notes == [
        f"Keras computes NaN or infinity for 5.0% of the values of {conversion.outputs[0]!r}"
    ]


def test_progress_is_told_row_by_row() -> None:
    told: list[tuple[int, int]] = []
    check_parity(MODEL, convert(MODEL), quick=True, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (4, 4)]


def test_right_graphs_of_a_deep_network_pass_and_a_fault_in_it_is_found() -> None:
    # Logits of 50 layers: Keras' float32 itself is off by more than 1e-5 of their size.
    x = inputs = keras.Input((16,))
    for _ in range(50):
        x = L.Add()([x, L.Dense(16, activation="tanh")(L.LayerNormalization()(x))])
    model = functional((16,), keras.Model(inputs, x), L.Rescaling(1e4), L.Dense(4))
    conversion = convert(model)
    parity = check_parity(model, conversion)
    assert parity.passed, parity.table()
    assert parity.max_abs > 1e-3  # far above the tolerance that it had before float64


def test_where_a_layer_insists_on_float32_the_report_says_so() -> None:
    class Single(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return keras.ops.convert_to_tensor(
                keras.ops.tanh(keras.ops.convert_to_tensor(x, "float32")), "float32"
            )

    model = functional((8,), L.Dense(16), Single(name="mine"), L.Dense(5))
    conversion = convert(model)
    parity = check_parity(model, conversion)
    assert parity.passed, parity.table()
    assert "layer 'mine' (Single) insists on float32" in parity.oracle
    assert parity.oracle in parity.table()
    edit(conversion, lambda array: array * (1 + 1e-3 * (np.arange(5) == 1)), (16, 5))
    assert not check_parity(model, conversion).passed


def test_dynamic_sizes_that_keras_can_run() -> None:
    x = inputs = keras.Input((None, None, 3))
    skips = []
    for _ in range(5):
        x = L.Conv2D(4, 3, padding="same", activation="relu")(x)
        skips.append(x)
        x = L.MaxPooling2D()(x)
    for skip in skips[::-1]:
        x = L.Concatenate()([L.UpSampling2D()(x), skip])
    model = keras.Model(inputs, x)
    parity = check_parity(model, convert(model))
    assert parity.passed
    assert "size 64 x 96" in {d.data for d in parity.differences}
    assert ((64, 96, 24),) in {d.shapes for d in parity.differences}


def test_a_graph_for_one_size_alone_is_found() -> None:
    model = functional((None, 4), L.Conv1D(3, 3, padding="same"))
    conversion = convert(model)
    graph = conversion.model.graph
    cut = onnx.helper.make_node("Slice", ["whole", "start", "end", "axis"], [graph.output[0].name])
    for node in graph.node:
        node.output[:] = ["whole" if name == graph.output[0].name else name for name in node.output]
    graph.node.append(cut)
    for name, value in (("start", 0), ("end", 16), ("axis", 1)):
        graph.initializer.append(numpy_helper.from_array(np.array([value]), name))
    with pytest.raises(
        CheckError, match=r"expected output of shape \(2, 21, 3\) as in Keras, got \(2, 16, 3\)"
    ):
        check_parity(model, conversion)


def test_another_dtype_is_found() -> None:
    model = functional((4,), L.Dense(3))
    conversion = convert(model)
    graph = conversion.model.graph
    for node in graph.node:
        node.output[:] = ["single" if name == graph.output[0].name else name for name in node.output]
    graph.node.append(
        onnx.helper.make_node("Cast", ["single"], [graph.output[0].name], to=onnx.TensorProto.DOUBLE)
    )
    graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    with pytest.raises(CheckError, match="expected dtype float32 as in Keras, got float64"):
        check_parity(model, conversion)


def test_the_advice_of_a_failed_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParityError, match="the difference is rounding, as in Keras itself"):
        export_model(MODEL, tmp_path / "model.onnx", rtol=0)
    from export import export

    def wrong(model: keras.Model, options: Options | None) -> Conversion:
        conversion = convert(model, options)
        spoil(conversion, 1e-2)
        return conversion

    monkeypatch.setattr(export, "convert", wrong)
    with pytest.raises(ParityError, match="each layer alone is right, so a fold or another optimization"):
        export_model(MODEL, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_degenerate_inputs_on_which_keras_computes_anything_are_not_judged() -> None:
    class Chaotic(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            mean, variance = ops.moments(x, -1, keepdims=True)
            return ops.sin((x - mean) / (variance * variance + 1e-12))

    model = functional((8,), Chaotic(name="chaotic"))
    parity = check_parity(model, convert(model), batches=[2])
    assert parity.passed, parity.table()
    why = "inputs of large mean: Keras itself is off by more than 1% there, in float32"
    assert f"'chaotic' was not judged on {why}" in parity.notes
    assert not [d for d in parity.differences if d.data == "large mean"]


def test_an_output_may_have_the_dtype_that_keras_declares() -> None:
    class Declared(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x > 0

        def compute_output_spec(self, x: Any) -> Any:
            return keras.KerasTensor(x.shape, "float32")

    model = functional((8,), Declared(name="declared"))
    conversion = convert(model, Options(input_range=(-1.0, 1.0)))
    assert conversion.model.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert check_parity(model, conversion, quick=True).passed

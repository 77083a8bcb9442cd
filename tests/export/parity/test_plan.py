import keras
import numpy as np
import pytest

from export.conversion import Options
from export.convert import convert
from export.errors import UserError
from export.parity import check_parity
from export.parity.data import Source
from export.parity.plan import Feed, plan
from tests.export.helpers import functional

L = keras.layers


def feeds(
    model: keras.Model, data: list[np.ndarray] | None = None, quick: bool = False, **options: int
) -> list[Feed]:
    made = Source(model, convert(model, Options(**options)), data)  # type: ignore[arg-type]

    def run(arrays: list[np.ndarray]) -> list[np.ndarray]:
        outputs = model(arrays if len(arrays) > 1 else arrays[0])
        return [np.asarray(x) for x in keras.tree.flatten(outputs)]

    return plan(model, made, run, quick=quick)


def kinds(found: list[Feed]) -> list[tuple[str, int]]:
    return [(feed.kind, feed.rows) for feed in found]


def test_random_batches() -> None:
    found = feeds(functional((8,), L.Dense(2)))
    batches = [(f"batch {n}", n) for n in (1, 2, 7, 32, 256)]
    assert kinds(found) == [*batches, ("constant", 1), ("large mean", 1), ("out of range", 2)]
    assert [feed.is_regular for feed in found] == [True] * 5 + [False] * 3
    assert kinds(feeds(functional((8,), L.Dense(2)), quick=True)) == batches


def test_a_fixed_batch() -> None:
    assert {feed.rows for feed in feeds(functional((8,), L.Dense(2)), batch=3)} == {3}


def test_large_images_come_in_small_batches() -> None:
    found = feeds(functional((224, 224, 3), L.Conv2D(2, 3, strides=8), L.Flatten(), L.Dense(2)))
    assert [feed.rows for feed in found if feed.is_regular] == [1, 2, 3]
    found = feeds(functional((64, 64, 3), L.UpSampling2D(8), L.Conv2D(20, 1), L.GlobalAveragePooling2D()))
    assert [feed.rows for feed in found if feed.is_regular] == [1, 2]


def test_attention_over_long_sequences_comes_in_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    # 8 x 2,048 x 2,048 weights for a row, which are no output of a layer: 256 rows would take 64 GiB.
    monkeypatch.setattr("export.parity.plan.SIZES", (2048,))
    x = keras.Input((None, 4))
    model = keras.Model(x, L.MultiHeadAttention(8, 2)(x, x))
    found = feeds(model)
    assert [feed.rows for feed in found if feed.kind.startswith("batch")] == [1, 2]
    assert [feed.kind for feed in found if feed.kind.startswith("size")] == ["size 512"]
    x = keras.Input((None, 4))
    found = feeds(keras.Model(x, L.Dense(8)(x)))
    assert [feed.rows for feed in found if feed.kind.startswith("batch")] == [1, 2, 7, 32, 64]
    assert [feed.kind for feed in found if feed.kind.startswith("size")] == [
        "size 512",
        "size 2053",
        "size 4096",
    ]


@pytest.mark.parametrize("count", [3, 42, 700])
def test_all_rows_of_the_data_are_compared(count: int) -> None:
    data = np.arange(count, dtype=np.float32)[:, np.newaxis] * np.ones((1, 4), np.float32)
    found = [feed for feed in feeds(functional((4,), L.Dense(2)), [data]) if feed.is_regular]
    rows = np.concatenate([feed.make()[0][:, 0] for feed in found])
    assert set(rows) == set(range(count))
    assert sum(feed.rows for feed in found) == max(count, 298)
    assert {len(feed.make()[0]) for feed in found} >= {1, 2, 7, 32}


def test_inputs_with_other_numbers_of_rows() -> None:
    """A graph has more edges than nodes: its data are compared as a whole."""
    nodes, edges = keras.Input((4,)), keras.Input((2,), dtype="int32")
    sources = keras.ops.take(nodes, edges[:, 0], axis=0)
    model = keras.Model([nodes, edges], keras.ops.segment_sum(sources, edges[:, 1], num_segments=5))
    data = [np.ones((5, 4), np.float32), np.zeros((9, 2), np.int32)]
    first = feeds(model, data, quick=True)
    assert kinds(first) == [("batch 5", 5)]
    assert [len(x) for x in first[0].make()] == [5, 9]
    conversion = convert(model)
    names = [x.type.tensor_type.shape.dim[0].dim_param for x in conversion.model.graph.input]
    assert names == [f"{name}_axis0" for name in conversion.inputs]
    assert check_parity(model, conversion, data=data).passed


def test_inputs_of_other_fixed_numbers_of_rows() -> None:
    nodes, edges = keras.Input(batch_shape=(5, 4)), keras.Input(batch_shape=(9, 2), dtype="int32")
    model = keras.Model([nodes, edges], [2 * nodes, edges + 1])
    (feed, *_) = feeds(model, quick=True)
    assert [x.shape for x in feed.make()] == [(5, 4), (9, 2)]
    data = [np.ones((10, 4), np.float32), np.arange(36, dtype=np.int32).reshape(18, 2)]
    found = feeds(model, data, quick=True)
    assert [feed.make()[1][0, 0] for feed in found] == [0, 18]


def test_sizes_that_keras_can_run() -> None:
    # Five poolings and concatenations: sizes are multiples of 32.
    x = inputs = keras.Input((None, None, 3))
    skips = []
    for _ in range(5):
        x = L.Conv2D(2, 3, padding="same")(x)
        skips.append(x)
        x = L.MaxPooling2D()(x)
    for skip in skips[::-1]:
        x = L.Concatenate()([L.UpSampling2D()(x), skip])
    found = feeds(keras.Model(inputs, x))
    assert found[0].make()[0].shape == (1, 32, 32, 3)
    sizes = [feed.kind for feed in found if feed.kind.startswith("size")]
    assert "size 64 x 96" in sizes
    assert all(feed.optional for feed in found if feed.kind in sizes)


def test_sizes_at_which_something_is_left() -> None:
    # Of 16 steps, the second convolution leaves none, and their maximum is minus infinity.
    layers = [L.Conv1D(4, 7, strides=3), L.Conv1D(4, 7, strides=3), L.GlobalMaxPooling1D()]
    assert feeds(functional((None, 2), *layers))[0].make()[0].shape == (1, 32, 2)


def test_no_size_that_keras_can_run() -> None:
    model = functional((None, 2), L.Conv1D(2, 3))

    def fails(arrays: list[np.ndarray]) -> list[np.ndarray]:
        raise ValueError("too short\nby far")

    source = Source(model, convert(model), None)
    message = "it fails on random ones of sizes 4 to 2048: too short; give some of your own with --check-data"
    with pytest.raises(UserError, match=message):
        plan(model, source, fails)

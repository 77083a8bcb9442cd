import keras
import numpy as np
import pytest

from kerasnorm import MisclassifiedImages


def identity_model() -> keras.Model:
    """A 'classifier' whose logits are its input, so that a test chooses its predictions."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Activation("linear")])
    model.compile(keras.optimizers.SGD(0.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def test_misclassified_images_of_a_fit() -> None:
    predicted = np.array([0, 1, 2, 3, 0, 1, 2])
    labels = np.array([0, 2, 2, 1, 0, 1, 3])
    x = np.eye(4, dtype="float32")[predicted] * 5 + np.arange(7, dtype="float32")[:, None]
    for batch_size in (2, 100):
        wrong = MisclassifiedImages(x, labels, batch_size=batch_size)
        identity_model().fit(x, labels, epochs=2, callbacks=[wrong], verbose=0)
        assert wrong.count == 3
        np.testing.assert_array_equal(wrong.indices, [1, 3, 6])
        np.testing.assert_array_equal(wrong.predicted, [1, 3, 2])
        np.testing.assert_array_equal(wrong.actual, [2, 1, 3])
        np.testing.assert_array_equal(wrong.images, x[[1, 3, 6]])
        np.testing.assert_array_equal(
            wrong.confusion, [[2, 0, 0, 0], [0, 1, 0, 1], [0, 1, 1, 0], [0, 0, 1, 0]]
        )


@pytest.mark.parametrize("form", ["column", "one-hot"])
def test_misclassified_images_takes_columns_and_one_hot_labels(form: str) -> None:
    labels = np.array([0, 1, 3, 3])
    x: np.ndarray = np.eye(4, dtype="float32")
    y = labels[:, None] if form == "column" else np.eye(4)[labels]
    wrong = MisclassifiedImages(x, y)
    wrong.collect(identity_model())
    assert (wrong.count, wrong.predicted.tolist(), wrong.actual.tolist()) == (1, [2], [3])


def test_misclassified_images_keeps_at_most_limit_images() -> None:
    x = np.tile(np.eye(4, dtype="float32")[0], (1000, 1))
    wrong = MisclassifiedImages(x, np.ones(1000, int), limit=7, batch_size=64)
    wrong.collect(identity_model())
    assert wrong.count == wrong.confusion[1, 0] == wrong.confusion.sum() == 1000
    assert wrong.images.shape == (7, 4)
    wrong.collect(identity_model())
    assert wrong.count == wrong.confusion.sum() == 1000


def test_misclassified_images_of_a_sigmoid() -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Activation("sigmoid")])
    wrong = MisclassifiedImages(np.array([[-3.0], [3.0], [-3.0]], "float32"), np.array([0, 1, 1]))
    wrong.collect(model)
    assert (wrong.predicted.tolist(), wrong.actual.tolist()) == ([0], [1])
    assert wrong.confusion.tolist() == [[1, 0], [1, 1]]


def test_wrong_arguments_and_models_of_misclassified_images_raise() -> None:
    with pytest.raises(ValueError, match=r"x of shape \(3, 2\) and y of shape \(4,\)"):
        MisclassifiedImages(np.zeros((3, 2)), np.zeros(4))
    with pytest.raises(ValueError, match="limit: expected 1 or more, got 0"):
        MisclassifiedImages(np.zeros((3, 2)), np.zeros(3), limit=0)
    images = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.ReLU()])
    with pytest.raises(ValueError, match="expected a model with one output of shape"):
        MisclassifiedImages(np.zeros((3, 2, 2, 1)), np.zeros(3)).collect(images)


def test_misclassified_images_takes_lists_and_tensors() -> None:
    x = np.eye(4, dtype="float32")
    for images, labels in (
        (x.tolist(), [0, 1, 3, 3]),
        (keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor([0.0, 1.0, 3.0, 3.0])),
    ):
        wrong = MisclassifiedImages(images, labels)
        wrong.collect(identity_model())
        assert (wrong.predicted.tolist(), wrong.actual.tolist()) == ([2], [3])
        np.testing.assert_array_equal(wrong.images, x[[2]])


class Slices(keras.utils.PyDataset):
    """Batches of two."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        super().__init__()
        self.x, self.y = x, y

    def __len__(self) -> int:
        return -(-len(self.x) // 2)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.x[2 * index : 2 * index + 2], self.y[2 * index : 2 * index + 2]


@pytest.mark.parametrize("kind", ["tf.data", "PyDataset"])
def test_misclassified_images_takes_datasets(kind: str) -> None:
    import tensorflow as tf

    x, y = np.tile(np.eye(4, dtype="float32"), (2, 1))[:7], np.array([0, 2, 2, 3, 1, 1, 0])
    data = Slices(x, y) if kind == "PyDataset" else tf.data.Dataset.from_tensor_slices((x, y)).batch(2)
    wrong = MisclassifiedImages(data, limit=2)
    identity_model().fit(x, y, callbacks=[wrong], verbose=0)
    assert wrong.count == 3
    assert (wrong.indices.tolist(), wrong.predicted.tolist(), wrong.actual.tolist()) == (
        [1, 4],
        [1, 0],
        [2, 1],
    )
    np.testing.assert_array_equal(wrong.images, x[[1, 4]])


def binary_model(loss: object, activation: str = "linear") -> keras.Model:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Activation(activation)])
    model.compile("sgd", loss)
    return model


LOGITS = np.array([[-3.0], [0.25], [3.0], [-3.0]], "float32")


@pytest.mark.parametrize(
    ("model", "from_logits"),
    [
        (binary_model(keras.losses.BinaryCrossentropy(from_logits=True)), None),
        (binary_model([keras.losses.BinaryFocalCrossentropy(from_logits=True)]), None),
        (binary_model("mse"), True),
        (binary_model("binary_crossentropy", "sigmoid"), None),
        (binary_model(keras.losses.BinaryCrossentropy(), "sigmoid"), None),
    ],
)
def test_misclassified_images_of_binary_models(model: keras.Model, from_logits: bool | None) -> None:
    wrong = MisclassifiedImages(LOGITS, [0, 1, 1, 1], from_logits=from_logits)
    wrong.collect(model)
    assert (wrong.indices.tolist(), wrong.predicted.tolist()) == ([3], [0])


def two_outputs(as_dict: bool) -> keras.Model:
    x = keras.Input((4,))
    first = keras.layers.Activation("linear", name="first")(x)
    second = keras.layers.Lambda(lambda x: x[:, ::-1], name="second")(x)
    model = keras.Model(x, {"a": first, "b": second} if as_dict else [first, second])
    model.compile("sgd", None)
    return model


@pytest.mark.parametrize("as_dict", [False, True])
def test_misclassified_images_of_one_of_several_outputs(as_dict: bool) -> None:
    x, labels = np.eye(4, dtype="float32"), np.array([0, 1, 2, 3])
    y = {"a": labels, "b": labels} if as_dict else [labels, labels]
    names = ["a", "b"] if as_dict else list(two_outputs(False).output_names)
    for output, count in ((names[0], 0), (names[1], 4), (0, 0), (1, 4)):
        wrong = MisclassifiedImages(x, y, output=output)
        wrong.collect(two_outputs(as_dict))
        assert wrong.count == count
    for output in (None, "gone", 7):
        known = rf"'{names[0]}', '{names[1]}'"
        with pytest.raises(ValueError, match=rf"expected output to be one of {known} .* got {output!r}"):
            MisclassifiedImages(x, y, output=output).collect(two_outputs(as_dict))


def test_misclassified_images_of_a_dict_of_one_output() -> None:
    x = keras.Input((1,))
    model = keras.Model(x, {"score": keras.layers.Activation("linear")(x)})
    model.compile("sgd", {"score": keras.losses.BinaryCrossentropy(from_logits=True)})
    for labels in ([0, 1, 1, 1], {"score": np.array([0, 1, 1, 1])}):
        wrong = MisclassifiedImages(LOGITS, labels)
        wrong.collect(model)
        assert (wrong.indices.tolist(), wrong.predicted.tolist()) == ([3], [0])
    with pytest.raises(ValueError, match=r"expected output to be one of 'score' .* got 'gone'"):
        MisclassifiedImages(LOGITS, [0, 1, 1, 1], output="gone").collect(model)


@pytest.mark.parametrize("model", [identity_model(), binary_model("mse")], ids=["classes", "binary"])
def test_nan_is_no_prediction(model: keras.Model) -> None:
    x = np.ones((3, *model.input_shape[1:]), "float32")
    x[1, 0] = np.nan
    with pytest.raises(ValueError, match="expected outputs that are numbers, got NaN for 1 of 3 images"):
        MisclassifiedImages(x, [0, 1, 1]).collect(model)


def test_misclassified_images_of_several_inputs() -> None:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    model = keras.Model({"a": a, "b": b}, keras.layers.Add()([a, b]))
    x = {"a": np.eye(4, dtype="float32"), "b": 2 * np.eye(4, dtype="float32")[[0, 0, 2, 3]]}
    wrong = MisclassifiedImages(x, np.arange(4))
    wrong.collect(model)
    assert (wrong.indices.tolist(), wrong.predicted.tolist()) == ([1], [0])
    np.testing.assert_array_equal(wrong.images, x["a"][[1]])


def test_what_misclassified_images_cannot_say() -> None:
    with pytest.raises(ValueError, match="expected one-hot labels, got rows that don't add up to 1"):
        MisclassifiedImages(np.zeros((2, 4)), np.array([[1, 1, 0], [0, 0, 1]]))
    with pytest.raises(
        ValueError, match=r"expected labels \(n,\) of whole numbers .* got float64 of shape \(2,\)"
    ):
        MisclassifiedImages(np.zeros((2, 4)), [0.5, 1.0])
    with pytest.raises(ValueError, match="expected labels beside arrays, got none; give y"):
        MisclassifiedImages(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="expected labels 0 to 3 for a model with 4 classes, got 1 to 4"):
        MisclassifiedImages(np.eye(4, dtype="float32"), [1, 2, 3, 4]).collect(identity_model())
    with pytest.raises(ValueError, match=r"expected labels 0 to 1 for a model with 2 classes, got -1 to 1"):
        MisclassifiedImages(LOGITS, [-1, 1, 1, 1]).collect(binary_model("hinge"))
    with pytest.raises(ValueError, match=r"expected probabilities 0..1, got -3..3; give from_logits=True"):
        MisclassifiedImages(LOGITS, [0, 1, 1, 1]).collect(binary_model("mse"))

"""PyTorch checkpoints: as arrays alone, and with PyTorch itself if it is installed."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from export.errors import UserError
from kerasnorm import build_cnn
from kerasnorm.cli.pytorch import main
from kerasnorm.pytorch import (
    model_from_state_dict,
    read_state_dict,
    state_dict_from_model,
    write_state_dict,
)

NORMS = ["bn", "ln", "gn"]


def golden(norm: str) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """The reference's initial weights under PyTorch's names, images, and its log-probabilities."""
    with np.load(Path(__file__).parent.parent / f"golden/seed_{norm}.npz", allow_pickle=False) as file:
        state: dict[str, np.ndarray] = {}
        for block in range(5):
            kernel = file[f"init/conv{block}/kernel"]
            state[f"features.{block}.0.weight"] = kernel.transpose(3, 2, 0, 1)
            state[f"features.{block}.2.weight"] = file[f"init/norm{block}/gamma"]
            state[f"features.{block}.2.bias"] = file[f"init/norm{block}/beta"]
            if norm == "bn":
                state[f"features.{block}.2.running_mean"] = file[f"init/norm{block}/moving_mean"]
                state[f"features.{block}.2.running_var"] = file[f"init/norm{block}/moving_variance"]
                state[f"features.{block}.2.num_batches_tracked"] = np.array(3)
        state["classifier.weight"] = file["init/head/kernel"].T[:, :, None, None]
        return state, file["x"][0][..., None], file["init/eval_log_probs"]


def random_model(norm: str) -> keras.Model:
    """A model with random weights, also where they are initialized to 0 or 1."""
    model = build_cnn(norm, (20, 20, 3), num_classes=4, filters=8, blocks=2)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.dtype == "float32":
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return model


@pytest.mark.parametrize("norm", NORMS)
def test_weights_of_the_reference_give_its_outputs(norm: str) -> None:
    state, images, expected = golden(norm)
    model = model_from_state_dict(state, norm, dtype="float64", dropout=0.0)
    np.testing.assert_allclose(np.log(model(images)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", ["bn", "gn"])
def test_a_round_trip_keeps_the_weights(norm: str, tmp_path: Path) -> None:
    model = random_model(norm)
    file = tmp_path / "checkpoint.npz"
    write_state_dict(file, state_dict_from_model(model))
    again = model_from_state_dict(read_state_dict(file), norm, image_size=20)
    for mine, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        if mine.dtype == np.float32:  # the others are states of Dropout's random generators
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("norm", NORMS)
def test_pytorch_computes_the_same(norm: str, tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")
    nn = torch.nn

    def block(channels: int) -> list[Any]:
        kinds = {
            "bn": lambda: nn.BatchNorm2d(8),
            "ln": lambda: nn.GroupNorm(1, 8),
            "gn": lambda: nn.GroupNorm(2, 8),
        }
        return [nn.Conv2d(channels, 8, 3, bias=False), nn.ReLU(), kinds[norm](), nn.Dropout(0.05)]

    network = nn.Sequential(
        *block(3), *block(8), nn.MaxPool2d(2), *block(8), *block(8), nn.AdaptiveAvgPool2d(1)
    )
    network.append(nn.Conv2d(8, 4, 1, bias=False)).append(nn.Flatten()).append(nn.Softmax(-1)).eval()
    images = np.random.default_rng(1).integers(0, 256, (5, 20, 20, 3))
    pixels = torch.tensor((images / 255 - 0.1307) / 0.3081, dtype=torch.float32).permute(0, 3, 1, 2)

    # From PyTorch, with other names, wrapped in a dictionary as training scripts do.
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                tensor.uniform_(0.5, 1.5) if tensor.ndim == 1 else tensor.uniform_(-0.3, 0.3)
    torch.save({"state_dict": network.state_dict(), "epoch": 7}, tmp_path / "theirs.pt")
    argv = [tmp_path / "theirs.pt", "-o", tmp_path / "m.keras", "--norm", norm, "--image-size", 20]
    assert main([str(item) for item in argv]) == 0
    model = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(model(images), network(pixels).detach(), rtol=1e-4, atol=1e-5)

    # Back to PyTorch, with other weights.
    model = random_model(norm)
    write_state_dict(tmp_path / "ours.pt", state_dict_from_model(model))
    ours = torch.load(tmp_path / "ours.pt", weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), ours.values(), strict=True)))
    np.testing.assert_allclose(model(images), network(pixels).detach(), rtol=1e-4, atol=1e-5)


def test_unsafe_and_damaged_checkpoints_raise(tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.save({"state_dict": Path("somewhere")}, tmp_path / "bad.pt")
    with pytest.raises(UserError, match="more than weights"):
        read_state_dict(tmp_path / "bad.pt")
    (tmp_path / "cut.pt").write_bytes(b"PK\x03\x04 not much")
    with pytest.raises(UserError, match=r"cut\.pt: expected a readable checkpoint"):
        read_state_dict(tmp_path / "cut.pt")


def test_without_pytorch_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    (tmp_path / "a.pt").write_bytes(b"")
    with pytest.raises(UserError, match=r"expected PyTorch for a \.pt file, got none; pip install torch"):
        read_state_dict(tmp_path / "a.pt")


def test_checkpoints_of_other_networks_raise() -> None:
    state, _, _ = golden("gn")
    with pytest.raises(UserError, match="running_mean, running_var in each normalization for norm 'bn'"):
        model_from_state_dict(state, "bn")
    with pytest.raises(UserError, match=r"got 6 kernels and 4 normalizations"):
        model_from_state_dict({key: value for key, value in state.items() if "0.2." not in key}, "gn")
    with pytest.raises(UserError, match=r"expected finite floats in classifier\.weight"):
        model_from_state_dict({**state, "classifier.weight": state["classifier.weight"] * np.nan}, "gn")
    with pytest.raises(UserError, match=r"for conv1/kernel, got \(3, 3, 8, 16\)"):
        model_from_state_dict({**state, "features.1.0.weight": state["features.1.0.weight"][:, :8]}, "gn")
    with pytest.raises(UserError, match=r"got fc\.bias"):
        model_from_state_dict({**state, "fc.bias": np.zeros((2, 2, 2))}, "gn")
    with pytest.raises(UserError, match=r"expected a model of kerasnorm\.build_cnn"):
        state_dict_from_model(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))


def test_instance_normalization_is_not_in_the_last_block() -> None:
    model = random_model("in")
    state = state_dict_from_model(model)
    assert [name for name in state if name.startswith("norm")][-1] == "norm2.bias"
    again = model_from_state_dict(state, "in", image_size=20)
    for mine, theirs in zip(model.trainable_weights, again.trainable_weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    extra = {**state, "norm3.weight": state["norm2.weight"], "norm3.bias": state["norm2.bias"]}
    with pytest.raises(UserError, match=r"a normalization after each but the last, .* 4 normalizations"):
        model_from_state_dict(extra, "in", image_size=20)


def test_normalizations_without_a_counterpart_raise_and_stock_forms_convert() -> None:
    state = state_dict_from_model(random_model("gn"))
    with pytest.raises(UserError, match=r"norm: expected one of bn, .*, in, got 'rms', which PyTorch has no"):
        model_from_state_dict(state, "rms")
    for norm in ("rms", "dyt"):
        with pytest.raises(UserError, match=r"layer 'norm0': expected a normalization that PyTorch has, got"):
            state_dict_from_model(random_model(norm))
    assert list(state_dict_from_model(random_model("brn"))) == list(state_dict_from_model(random_model("bn")))
    kernel = state_dict_from_model(random_model("ws"))["conv1.weight"]
    np.testing.assert_allclose(kernel.mean((1, 2, 3)), 0, rtol=0, atol=1e-5)
    none = random_model("none")
    again = model_from_state_dict(state_dict_from_model(none), "none", image_size=20)
    np.testing.assert_array_equal(none.trainable_weights[0], again.trainable_weights[0])

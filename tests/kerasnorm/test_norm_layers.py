"""The layers that the records name: their classes and the settings that the study needs."""

import pytest

from kerasnorm import norm_layers


@pytest.mark.parametrize(
    ("factory", "name", "settings"),
    [
        ("batch_normalization", "BatchNormalization", {"momentum": 0.9, "epsilon": 1e-5}),
        ("group_normalization", "GroupNormalization", {"groups": 4, "epsilon": 1e-5}),
        ("root_mean_square", "RootMeanSquareNormalization", {"epsilon": 1e-5}),
        ("filter_response", "ThresholdedFilterResponseNormalization", {"epsilon": 1e-6}),
        ("dynamic_tanh", "DynamicTanh", {}),
        (
            "ghost_batch",
            "GhostBatchNormalization",
            {"momentum": 0.9, "epsilon": 1e-5, "ghost_batch_size": 16},
        ),
    ],
)
def test_layer(factory: str, name: str, settings: dict[str, float]) -> None:
    layer = getattr(norm_layers, factory)(4, name="norm0")
    assert (type(layer).__name__, layer.name) == (name, "norm0")
    config = layer.get_config()
    assert {key: config[key] for key in settings} == settings


def test_the_schedule_of_batch_renormalization_follows_the_length_of_the_training() -> None:
    short, long = (norm_layers.batch_renormalization(None, steps=steps) for steps in (100, 10_000))
    default = norm_layers.batch_renormalization(None, steps=None)
    assert short.get_config() != long.get_config() != default.get_config()


def test_standardized_convolution_takes_the_arguments_of_conv2d() -> None:
    layer = norm_layers.standardized_convolution(16, 3, use_bias=False, name="conv0")
    assert (layer.filters, layer.kernel_size, layer.use_bias, layer.name) == (16, (3, 3), False, "conv0")

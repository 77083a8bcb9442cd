import numpy as np
import pytest

from kerasnorm import build_cnn
from kerasnorm.demo.activations import activations_model, blocks, describe_blocks
from kerasnorm.demo.runs import DemoRun
from kerasnorm.norms import NORMS
from tests.export.helpers import randomize


@pytest.mark.parametrize("key", NORMS)
def test_the_activations_before_and_after_each_block(key: str) -> None:
    model = randomize(build_cnn(key, (20, 20, 1), num_classes=3, filters=8, blocks=1))
    run = DemoRun("run", NORMS[key], model, None, ("a", "b", "c"), (33.3,))
    described = describe_blocks(run)
    assert len(described) == len(blocks(model)) == 3
    images = np.random.default_rng(0).uniform(0, 255, (2, 20, 20, 1)).astype("float32")
    outputs = activations_model(model)(images)
    for block, (_, _, layer) in zip(described, blocks(model), strict=True):
        before, after = (np.asarray(outputs[block[name]]) for name in ("before", "after"))
        assert before.shape == after.shape
        expected = layer(before, training=False) if layer is not None else before
        np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-5)
        covered = sorted(channel for start, stop in block["sets"] for channel in range(start, stop))
        assert covered in ([], list(range(8)))


def test_sets_and_running_statistics() -> None:
    expected = {"bn": [[c, c + 1] for c in range(8)], "ln": [[0, 8]], "gn": [[0, 4], [4, 8]]}
    for key, sets in expected.items():
        model = randomize(build_cnn(key, (20, 20, 1), num_classes=3, filters=8, blocks=1))
        first = describe_blocks(DemoRun("run", NORMS[key], model, None, ("a", "b", "c"), (33.3,)))[0]
        assert first["sets"] == sets
        assert (first["running"] is not None) == (key == "bn")
        if first["running"]:
            layer = model.get_layer("norm0")
            np.testing.assert_allclose(
                first["running"]["std"], np.sqrt(layer.moving_variance), rtol=1e-6, atol=0
            )
            np.testing.assert_allclose(first["running"]["mean"], layer.moving_mean, rtol=1e-6, atol=0)

"""The weights go to their layers, whatever the order: against the outputs of tf_keras (tests/keras2/save_models.py)."""

import numpy as np
import pytest

from export.convert import convert
from export.load import load_model
from tests.export.helpers import run
from tests.export.keras2.fixtures import SAVED, arrays_of, outputs_of


@pytest.mark.parametrize(
    ("file", "unsafe"),
    [
        ("order.h5", False),
        ("order.keras", False),
        ("order-saved", False),
        ("recurrent.h5", False),
        ("branches.keras", False),
        ("lambdas.h5", True),
    ],
)
def test_outputs_equal_those_of_keras_2(file: str, unsafe: bool) -> None:
    if unsafe:
        pytest.importorskip("tensorflow")
    inputs, expected = arrays_of(file.split(".")[0].removesuffix("-saved"))
    model = load_model(SAVED / file, unsafe=unsafe)
    conversion = convert(model)
    assert conversion.route == "direct"
    pairs = zip(outputs_of(model, inputs), run(conversion, *inputs), expected, strict=True)
    for output, exported, one in pairs:
        assert np.ptp(one) > 0.05
        np.testing.assert_allclose(output, one, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(exported, one, rtol=1e-5, atol=1e-5)

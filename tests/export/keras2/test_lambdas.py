import base64
import marshal
from typing import Any

import h5py
import numpy as np
import pytest

from export.errors import UserError
from export.keras2 import load_model
from export.keras2.lambdas import lambda_arguments
from tests.export.keras2.fixtures import SAVED


def find(name: str) -> Any:
    return {"known": abs}.get(name)


def dumped(function: Any) -> str:
    return base64.b64encode(marshal.dumps(function.__code__)).decode()


def config(value: Any, **more: Any) -> dict[str, Any]:
    return {"name": "it", "function": value, "function_type": "lambda", **more}


def test_code_is_not_run_without_being_asked() -> None:
    with h5py.File(SAVED / "lambdas.h5") as file:
        assert "function_type" in file.attrs["model_config"]
    with pytest.raises(
        UserError, match=r"lambdas\.h5: it has a Lambda layer, whose code is not run; build the model"
    ):
        load_model(SAVED / "lambdas.h5")


def test_code_with_defaults_and_closure() -> None:
    factor = 3.0
    value = [dumped(lambda x, shift=1.0: x * factor + shift), [1.0], [factor]]
    assert lambda_arguments(config(value), True, find)["function"](2.0) == 7.0
    tagged = {
        "class_name": "__lambda__",
        "config": {"code": dumped(lambda x: np.maximum(x, 0)), "defaults": None, "closure": None},
    }
    assert lambda_arguments(config(tagged), True, find)["function"](np.float32(-2)) == 0


def test_functions_by_name() -> None:
    named = {"class_name": "function", "config": "known", "registered_name": "known"}
    for given in (config("known", function_type="function"), config(named)):
        assert lambda_arguments({**given, "output_shape": [2]}, False, find) == {
            "function": abs,
            "output_shape": (2,),
        }
    with pytest.raises(
        UserError, match=r"code that Keras does not have: mine; name the Python file with --import"
    ):
        lambda_arguments(config("mine", function_type="function"), False, find)


OTHER = (lambda: 1).__code__.replace(co_code=b"\xff\x00" * 4)


@pytest.mark.parametrize("code", [b"", b"not a code object", marshal.dumps(1), marshal.dumps(OTHER)])
def test_code_of_another_python(code: bytes) -> None:
    value = [base64.b64encode(code).decode(), None, None]
    with pytest.raises(
        UserError, match=r"its Lambda 'it' is bytecode of another version of Python, which can't be"
    ):
        lambda_arguments(config(value), True, find)

"""How Keras 2 writes a layer, a model or a value into a configuration."""

from __future__ import annotations

from typing import Any

MODELS = ("Functional", "Model", "Sequential")
TF_CALLS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")

Config = dict[str, Any]


def class_name(config: Config) -> str:
    """The class of a layer or another object, without the package that it is of."""
    return str(config["class_name"]).rsplit(">", 1)[-1]


def layer_name(name: Any) -> str | None:
    """The name of a layer, which must not have a slash in Keras 3."""
    return None if name is None else str(name).replace("/", "_")


def registered_name(config: Config) -> str:
    """The name that the class of a layer or another object is registered by."""
    return str(config.get("registered_name") or config["class_name"])


def plain(value: Any) -> Any:
    """A value without the dictionaries that Keras 2 writes for tuples, sizes and policies."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("class_name")
    if kind in ("__tuple__", "TensorShape"):
        return [plain(one) for one in value["items"] or []]
    if kind == "__ellipsis__":
        return Ellipsis
    if kind in ("Policy", "DTypePolicy"):
        return value["config"]["name"]
    return {key: plain(one) for key, one in value.items()}

"""How Keras 2 writes layers and values."""

from export.keras2.config import class_name, layer_name, plain, registered_name


def test_names() -> None:
    assert class_name({"class_name": "Addons>GroupNormalization"}) == "GroupNormalization"
    assert layer_name("block/conv") == "block_conv"
    assert layer_name(None) is None
    assert registered_name({"class_name": "Own", "registered_name": "package>Own"}) == "package>Own"
    assert registered_name({"class_name": "Own", "registered_name": None}) == "Own"


def test_plain_values() -> None:
    size = {"class_name": "__tuple__", "items": [1, {"class_name": "TensorShape", "items": [None, 2]}]}
    policy = {"class_name": "Policy", "config": {"name": "mixed_float16"}}
    assert plain({"size": size, "dtype": policy, "rate": 0.5}) == {
        "size": [1, [None, 2]],
        "dtype": "mixed_float16",
        "rate": 0.5,
    }
    assert plain([{"class_name": "__ellipsis__"}]) == [Ellipsis]

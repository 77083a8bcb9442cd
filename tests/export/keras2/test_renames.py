"""The tables of names: they lead to what Keras 3 has."""

import inspect

import keras

from export.keras2.renames import ARGUMENTS, BEFORE, LAYERS, NEUTRAL, WITHOUT_EFFECT


def test_layers_are_there_and_the_former_names_are_not() -> None:
    for former, name in LAYERS.items():
        assert hasattr(keras.layers, name), name
        if hasattr(keras.layers, former):  # an alias
            assert getattr(keras.layers, former) is getattr(keras.layers, name)


def test_layers_have_the_arguments() -> None:
    for table in (ARGUMENTS, BEFORE):
        for former, arguments in table.items():
            kind = getattr(keras.layers, LAYERS.get(former, former))
            known = inspect.signature(kind.__init__).parameters
            names = arguments.values() if table is ARGUMENTS else arguments
            assert [name for name in names if name not in known and "kwargs" not in known] == []


def test_no_argument_is_in_two_tables() -> None:
    assert not WITHOUT_EFFECT & set(NEUTRAL)

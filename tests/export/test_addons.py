"""The former name of export.keras2."""

import export.addons
import export.keras2
from export.keras2.filter_response import FilterResponseNormalization


def test_addons_is_the_former_name_of_keras2() -> None:
    assert export.addons.load_model is export.keras2.load_model
    assert export.addons.is_keras_2 is export.keras2.is_keras_2
    assert export.addons.FilterResponseNormalization is FilterResponseNormalization

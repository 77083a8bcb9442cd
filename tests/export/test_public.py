"""What users of `export` rely on: names that can be imported, commands and their options."""

from importlib import import_module

import pytest

NAMES = {
    "export.export": ["Exported", "check_layerwise", "export_model"],
    "export.convert": [
        "Conversion",
        "Options",
        "convert",
        "convert_layerwise",
        "count_nodes",
        "set_metadata",
    ],
    "export.lowerings": [
        "Builder",
        "Registry",
        "Tensor",
        "Unsupported",
        "register_lowering",
        "register_operation",
    ],
    "export.load": ["load_model"],
    "export.infer": ["Classifier", "Prediction", "cli"],
    "export.parity": ["Parity", "check_parity", "load_check_data"],
    "export.runtime": ["open_session"],
    "export.bench": ["bench", "cli"],
    "export.errors": ["CheckError", "ParityError", "Unsupported", "UserError"],
    "export.command": ["CheckError", "Parser", "UserError", "import_tensorflow_quietly", "run"],
    "export.__main__": ["cli", "main"],
}
OPTIONS = {
    "export.__main__": [
        *(
            "--help",
            "--output",
            "--route",
            "--opset",
            "--portable",
            "--input-layout",
            "--raw-pixels",
            "--batch",
        ),
        *(
            "--input-range",
            "--class-names",
            "--check-data",
            "--atol",
            "--rtol",
            "--layerwise",
            "--quick",
            "--quantize",
            "--report",
        ),
    ],
    "export.infer": ["--help", "--top", "--threads", "--json", "--invert"],
    "export.verify": ["--help", "--provider", "--json"],
    "export.bench": ["--help", "--against", "--batches", "--threads", "--seconds", "--json"],
}


@pytest.mark.parametrize("module", NAMES)
def test_public_names_can_be_imported(module: str) -> None:
    assert [name for name in NAMES[module] if not hasattr(import_module(module), name)] == []


@pytest.mark.parametrize("module", OPTIONS)
def test_commands_have_their_options(module: str) -> None:
    parser = import_module(module).parser()
    options = {option for action in parser._actions for option in action.option_strings}
    assert [option for option in OPTIONS[module] if option not in options] == []

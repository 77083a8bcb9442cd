"""What users rely on: every public name, and every command with its options. A lost one fails here."""

import re
import subprocess
import sys
from collections.abc import Callable

import pytest

import kerasnorm

Command = Callable[..., "subprocess.CompletedProcess[str]"]

NAMES = {
    *("Augmentation", "augment_images", "training_batches"),
    *("MisclassifiedImages", "PopulationStatistics", "Progress", "StepDecay", "step_decay"),
    *("Dataset", "load_data"),
    *("speed_up", "restore", "set_threads", "steps_per_execution"),
    *("build_cnn", "l1l2", "stock_model"),
    *("BatchRenormalization", "DynamicTanh", "GhostBatchNormalization", "RootMeanSquareNormalization"),
    *("StandardizedConv2D", "ThresholdedFilterResponseNormalization"),
    *("plot_confusion", "plot_curves", "plot_misclassified", "plot_overlaid", "plot_settings", "plot_shared"),
    "unnormalize",
    *("RECIPES", "Recipe", "train"),
}

HYPERPARAMETERS = {
    *("--filters", "--blocks", "--groups", "--dropout", "--l1", "--l2", "--penalize"),
    *("--epochs", "--batch-size", "--learning-rate", "--momentum", "--nesterov", "--no-nesterov"),
    *("--step-size", "--step-gamma", "--rescale-velocity", "--no-rescale-velocity", "--schedule", "--warmup"),
    *("--ema", "--label-smoothing", "--statistics"),
    *("--rotation", "--brightness", "--contrast", "--shift", "--zoom", "--shear", "--fill"),
}
GENERAL = {"--help", "--version"}
DATA = {*GENERAL, "--config", "--tensorboard", "--data", "--recipe", "--held-out"}

OPTIONS = {
    "kerasnorm.train": {
        *HYPERPARAMETERS,
        *DATA,
        "--norm",
        "--seed",
        "--out",
        "--resume",
        "--overwrite",
        "--no-export",
        "--quiet",
        "--verbose",
        "--cores",
    },
    "kerasnorm.compare": {
        *HYPERPARAMETERS,
        *DATA,
        *("--norms", "--baseline", "--seeds", "--runs", "--out", "--jobs", "--quiet"),
        *("--engine", "--scheduler", "--cores", "--resources", "--worker-timeout", "--shared-runs"),
    },
    "kerasnorm": GENERAL,
    "kerasnorm.workbook": {*GENERAL, "--norms", "--images", "--channels", "--groups", "--seed"},
    "kerasnorm.pytorch": {*GENERAL, "--out", "--norm", "--groups", "--image-size"},
}


def test_every_public_name_can_be_imported() -> None:
    assert set(kerasnorm.__all__) == NAMES
    for name in kerasnorm.__all__:
        assert getattr(kerasnorm, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        kerasnorm.nothing  # noqa: B018


@pytest.mark.parametrize("module", OPTIONS)
def test_every_command_has_its_options(command: Command, module: str) -> None:
    done = command(module, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", done.stdout)) == OPTIONS[module]


def test_train_is_the_function_and_importing_the_package_loads_no_framework() -> None:
    program = (
        "import sys\n"
        "from kerasnorm import train\n"
        "import kerasnorm\n"
        "assert callable(train) and kerasnorm.train is train\n"
        "print([m for m in ('keras', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr

"""--config: what a file sets, what overrides it, and files that can't be used."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from export.command import Parser
from export.errors import UserError
from kerasnorm import RECIPES, Recipe, load_data, rundir
from kerasnorm.cli import compare, train
from kerasnorm.cli.config_file import Config, parse_with_config, print_notes, read_config
from kerasnorm.cli.recipe_options import recipe_from
from kerasnorm.norms import NORMS
from tests.conftest import Here

ROOT = Path(__file__).resolve().parents[3]
RECORDED = sorted((ROOT / "results/runs").glob("*/config.json"))


def write(folder: Path, settings: object) -> Path:
    path = folder / "config.json"
    path.write_text(settings if isinstance(settings, str) else json.dumps(settings))
    return path


def parsed(path: Path, *options: str, parser: Parser | None = None) -> tuple[Any, Config]:
    arguments, config = parse_with_config(parser or train.parser(), ["--config", str(path), *options])
    assert config is not None
    return arguments, config


@pytest.mark.parametrize("norm", ["bn", "gn"])
@pytest.mark.parametrize("name", RECIPES)
def test_the_config_of_a_run_is_read_back(tmp_path: Path, norm: str, name: str) -> None:
    recipe = dataclasses.replace(RECIPES[name], epochs=3, groups=None if norm == "bn" else 2)
    data = load_data("digits")
    path = write(tmp_path, rundir.describe(norm, data, recipe.for_norm(norm), 7))
    arguments, config = parsed(path)
    assert (arguments.norm, arguments.seed, arguments.data, arguments.held_out) == (norm, 7, "digits", 0)
    assert recipe_from(arguments) == recipe
    assert config.data_sha256("digits", 0) == data.sha256
    assert config.data_sha256("mnist", 0) is None
    assert config.notes == ()


def test_every_key_of_config_json_is_known() -> None:
    described = rundir.describe("bn", load_data("digits"), Recipe(), 0)
    assert {*rundir.SETTINGS, *rundir.NOTES} >= described.keys()
    assert set(rundir.DATA) == described["data"].keys()


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.parent.name)
def test_recorded_runs_of_all_versions_are_read(path: Path) -> None:
    written = json.loads(path.read_text())
    arguments, config = parsed(path)
    recipe = recipe_from(arguments)
    assert recipe.name == written["recipe"]["name"]
    kept = {key: value for key, value in written["recipe"].items() if key not in ("l1", "l2")}
    assert kept.items() <= dataclasses.asdict(recipe).items()
    resolved = recipe.for_norm(written["norm"])
    assert (resolved.l1, resolved.l2) == (written["recipe"]["l1"], written["recipe"]["l2"])
    held_out = f"-held-out-{arguments.held_out}" if arguments.held_out else ""
    assert Path(arguments.data).stem + held_out == written["data"]["name"]
    assert config.sha256 == written["data"]["sha256"]


@pytest.mark.parametrize(
    ("settings", "options", "expected"),
    [
        ({}, "--norm bn", {"norm": "bn", "seed": 0, "data": "auto", "recipe": None}),
        ({"norm": "gn", "seed": 3}, "", {"norm": "gn", "seed": 3}),
        ({"norm": "gn", "seed": 3}, "--norm bn --seed 4", {"norm": "bn", "seed": 4}),
        ({"norm": "gn", "data": {"name": "digits", "held_out": 9}}, "", {"data": "digits", "held_out": 9}),
        ({"norm": "gn", "data": {"held_out": 9}}, "--data digits", {"data": "digits", "held_out": 9}),
        ({"norm": "gn", "data": {"name": "mine", "source": "a/mine.npz"}}, "", {"data": "a/mine.npz"}),
        ({"norm": "gn", "data": {"name": "a/mine.npz"}}, "", {"data": "a/mine.npz"}),
        (
            {"norm": "gn", "data": {"name": "mnist-held-out-50", "source": "x/mnist.npz"}},
            "",
            {"held_out": 50},
        ),
        ({"norm": "gn", "data": {"name": "b-held-out-5", "source": "b-held-out-5.npz"}}, "", {"held_out": 0}),
    ],
)
def test_options_override_the_file(
    tmp_path: Path, settings: object, options: str, expected: dict[str, object]
) -> None:
    arguments, _ = parsed(write(tmp_path, settings), *options.split())
    assert {key: getattr(arguments, key) for key in expected} == expected


@pytest.mark.parametrize(
    ("recipe", "options", "expected"),
    [
        ({"epochs": 3}, "", Recipe("documented", epochs=3)),
        ({"epochs": 3, "l1": None}, "--recipe best", dataclasses.replace(RECIPES["best"], epochs=3, l1=None)),
        ({"name": "best", "epochs": 3}, "--recipe best --epochs 4 --no-nesterov", None),
        ({"name": "mine", "momentum": 0}, "--learning-rate 1", Recipe("mine", momentum=0, learning_rate=1)),
    ],
)
def test_a_file_may_have_a_part_of_the_hyper_parameters(
    tmp_path: Path, recipe: object, options: str, expected: Recipe | None
) -> None:
    arguments, _ = parsed(write(tmp_path, {"norm": "bn", "recipe": recipe}), *options.split())
    if expected is None:
        expected = dataclasses.replace(RECIPES["best"], epochs=4, nesterov=False)
    assert recipe_from(arguments) == expected


def test_the_norms_own_penalties_are_those_of_the_norm_that_is_given(tmp_path: Path) -> None:
    recipe = RECIPES["documented"].for_norm("bn")
    path = write(tmp_path, rundir.describe("bn", load_data("digits"), recipe, 0))
    arguments, _ = parsed(path, "--norm", "gn")
    resolved = recipe_from(arguments).for_norm("gn")
    assert (resolved.l1, resolved.l2) == (0.001, 0)
    arguments, _ = parsed(path, parser=compare.parser())
    assert recipe_from(arguments) == RECIPES["documented"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("", "expected the config.json of a run, got no JSON: Expecting value"),
        ("[" * 100_000, "expected the config.json of a run, got no JSON: "),
        (" " * 2**20 + "{}", "expected the config.json of a run, got more than 1,048,576 bytes"),
        ([1], "expected the config.json of a run, got no JSON object"),
        ({"nrom": "bn"}, "expected norm, seed, recipe and data, got 'nrom'; did you mean 'norm'?"),
        (
            {"epochs": 3},
            "expected norm, seed, recipe and data, got 'epochs'; did you mean recipe: {'epochs': ...}?",
        ),
        ({"norm": "xn"}, f"norm: expected one of {', '.join(NORMS)}, got 'xn'"),
        ({"norm": ["bn"]}, f"norm: expected one of {', '.join(NORMS)}, got ['bn']"),
        ({"seed": "1"}, "seed: expected a whole number, 0 to 2147483647, got '1'"),
        ({"seed": True}, "seed: expected a whole number, 0 to 2147483647, got True"),
        ({"recipe": "best"}, "recipe: expected a JSON object, got 'best'"),
        (
            {"recipe": {"epoch": 3}},
            "recipe: expected name and hyper-parameters of a recipe, got 'epoch'; did you mean",
        ),
        ({"recipe": {"epochs": "3"}}, "recipe: epochs: expected at least 1, got '3'"),
        ({"recipe": {"epochs": 1.5}}, "recipe: epochs: expected a whole number, got 1.5"),
        (
            {"recipe": {"epochs": 10**400}},
            "recipe: epochs: expected less than 2147483648, got 1000",
        ),
        ({"recipe": {"nesterov": 1}}, "recipe: nesterov: expected True or False, got 1"),
        ({"recipe": {"schedule": ["step"]}}, "recipe: schedule: expected 'step' or 'cosine', got ['step']"),
        ('{"recipe": {"momentum": NaN}}', "recipe: momentum: expected 0 <= value < 1, got nan"),
        ('{"recipe": {"l1": 1e999}}', "recipe: l1: expected 0 or more, got inf"),
        (
            {"recipe": {"name": "../../x"}},
            "recipe: name: expected letters, digits, '-', '_' and '.', got '../../x'",
        ),
        ({"recipe": {"name": 3}}, "recipe: name: expected letters, digits, '-', '_' and '.', got 3"),
        ({"data": "digits"}, "data: expected a JSON object, got 'digits'"),
        (
            {"data": {"nam": "digits"}},
            "data: expected name, source, sha256 and held_out, got 'nam'; did you mean",
        ),
        ({"data": {"name": 5}}, "data: name: expected text, got 5"),
        ({"data": {"name": "digits", "held_out": -1}}, "data: held_out: expected a whole number"),
        ({"data": {"sha256": "00"}}, "data: sha256: expected 64 hexadecimal digits, got '00'"),
    ],
)
def test_a_file_that_can_t_be_used_is_one_short_line(tmp_path: Path, settings: object, message: str) -> None:
    path = write(tmp_path, settings)
    with pytest.raises(UserError) as raised:
        read_config(path)
    assert str(raised.value).startswith(f"{path}: {message}")
    assert len(str(raised.value)) < len(str(path)) + 310


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        (None, "", "gone.json: expected the config.json of a run: No such file or directory"),
        ({"seed": 1}, "", "error: the following arguments are required: --norm"),
        (
            {"recipe": {"name": "best"}},
            "--norm bn --recipe notebook",
            "recipe: expected one, got 'notebook' from",
        ),
        ({"norm": "bn", "recipe": {"epochs": 0}}, "", "recipe: epochs: expected at least 1, got 0"),
        ({"norm": "bn", "data": {"name": "gone.npz"}}, "", "gone.npz: expected a .npz file"),
        (
            {"norm": "bn", "data": {"name": "digits", "sha256": "0" * 64}},
            "",
            f"data: expected the SHA-256 {'0' * 64}",
        ),
    ],
)
def test_wrong_use_ends_with_one_line(
    here: Here,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: object,
    options: str,
    message: str,
) -> None:
    monkeypatch.setattr("tensorflow.config.experimental.enable_op_determinism", lambda: None)
    monkeypatch.chdir(tmp_path)
    file = "gone.json" if settings is None else write(tmp_path, settings).name
    code, _, errors = here(train.cli, "--config", file, *options.split())
    assert code == 2
    assert errors.count("\n") == 1
    assert message in errors
    assert {path.name for path in tmp_path.iterdir()} <= {"config.json"}


def test_other_versions_and_a_run_that_diverged_get_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {
        "norm": "bn",
        "versions": {"keras": "3.1\x1b[2J"},
        "diverged": [{"epoch": 2, "learning_rate": 1}],
    }
    print_notes(read_config(write(tmp_path, settings)))
    first, second = capsys.readouterr().err.splitlines()
    assert r"made with other versions (keras 3.1\x1b[2J, here 3." in first
    assert "the run diverged and went on with another learning rate" in second

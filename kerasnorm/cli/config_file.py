"""--config FILE: the settings of a run, from the config.json of a run directory or a file of that form.

The file is an object with any of these keys. A file that a person writes may leave out any part:

    {"norm": "gn", "seed": 1, "recipe": {"name": "best", "epochs": 5}, "data": {"name": "digits", "held_out": 300}}
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import platform
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import kerasnorm
from export.command import Parser
from export.errors import UserError, one_line
from export.terminal import escape
from kerasnorm import rundir
from kerasnorm.data import NAMES
from kerasnorm.hyperparameters import hyperparameters
from kerasnorm.norms import NORMS
from kerasnorm.recipes import RECIPES, Recipe

LARGEST = 2**20  # bytes; a file from a stranger may be of any size
SHA256 = re.compile("[0-9a-f]{64}")
# The name of a recipe becomes part of a directory's name.
RECIPE_NAME = re.compile(r"\w[\w.-]*")


@dataclasses.dataclass(frozen=True)
class Config:
    """What a file says.

    Attributes:
        path: the file.
        options: the value of each option that the file sets, by its name in the parsed arguments.
        sha256: SHA-256 of the data; None if the file has none.
        notes: why a run with these settings may end with other weights.
    """

    path: Path
    options: dict[str, Any]
    sha256: str | None
    notes: tuple[str, ...]

    def data_sha256(self, data: str, held_out: int) -> str | None:
        """Return the SHA-256 that the data must have; None if it is not the data of the file."""
        of_the_file = self.options.get("data"), self.options.get("held_out", 0)
        return self.sha256 if of_the_file == (data, held_out) else None


def add_config_option(parser: Parser) -> None:
    """Add --config."""
    parser.add_argument(
        "--config",
        metavar="FILE.json",
        help="take the settings of a run from its config.json, or from a file of that form; other options override it",
    )


def parse_with_config(parser: Parser, argv: Sequence[str] | None) -> tuple[Any, Config | None]:
    """Parse argv, with the values of the file that --config names in place of the defaults.

    Returns:
        The parsed arguments, and what the file says, or None without a file.

    Raises:
        UserError: the file can't be used.
    """
    arguments = parser.parse_args(argv)
    if arguments.config is None:
        return arguments, None
    config = read_config(Path(arguments.config))
    name = config.options.get("recipe")
    if arguments.recipe is not None and name not in (None, arguments.recipe):
        raise UserError(
            f"recipe: expected one, got {arguments.recipe!r} from --recipe and {name!r} from {config.path}; leave "
            "--recipe out, or the file"
        )
    parser.set_defaults(**config.options)
    return parser.parse_args(argv), config


def read_config(path: Path) -> Config:
    """Read and check a file.

    Raises:
        UserError: the file is missing or damaged, has a key that nothing reads, or a value of another kind.
    """
    settings = _read_object(path)
    try:
        return _config(path, settings)
    except UserError as error:
        raise UserError(f"{path}: {one_line(error)}") from error


def print_notes(config: Config) -> None:
    """Print the notes on stderr, a line each."""
    for note in config.notes:
        print(escape(f"note: {config.path}: {note}"), file=sys.stderr)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise UserError(f"{path}: expected the config.json of a run: {error.strerror}") from error
    if len(text) > LARGEST:
        raise UserError(f"{path}: expected the config.json of a run, got more than {LARGEST:,} bytes")
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: expected the config.json of a run, got no JSON: {error}") from error
    if not isinstance(settings, dict):
        raise UserError(f"{path}: expected the config.json of a run, got no JSON object")
    return settings


def _config(path: Path, settings: dict[str, Any]) -> Config:
    recipe_hint = {name: f"recipe: {{{name!r}: ...}}" for name in hyperparameters(Recipe)}
    _check_keys(settings, (*rundir.SETTINGS, *rundir.NOTES), "norm, seed, recipe and data", recipe_hint)
    options: dict[str, Any] = {}
    if "norm" in settings:
        if settings["norm"] not in list(NORMS):
            raise UserError(f"norm: expected one of {', '.join(NORMS)}, got {settings['norm']!r}")
        options["norm"] = settings["norm"]
    if "seed" in settings:
        options["seed"] = _whole("seed", settings["seed"])
    versions = _object("versions", settings.get("versions", {}))
    options |= _recipe_options(
        _object("recipe", settings.get("recipe", {})), options.get("norm"), bool(versions)
    )
    data = _object("data", settings.get("data", {}))
    sha256 = data.get("sha256")
    if sha256 is not None and not (isinstance(sha256, str) and SHA256.fullmatch(sha256)):
        raise UserError(f"data: sha256: expected 64 hexadecimal digits, got {sha256!r}")
    return Config(
        path, options | _data_options(data), sha256, _notes(versions, bool(settings.get("diverged")))
    )


def _notes(versions: Mapping[str, Any], has_diverged: bool) -> tuple[str, ...]:
    here = {"kerasnorm": kerasnorm.__version__, "python": platform.python_version()}
    here |= {package: version(package) for package in rundir.PACKAGES}
    notes = []
    others = [name for name in here if versions.get(name, here[name]) != here[name]]
    if others:
        listed = ", ".join(f"{name} {str(versions[name])[:20]}, here {here[name]}" for name in others)
        notes.append(f"made with other versions ({listed}), so that the weights may differ")
    if has_diverged:
        notes.append(
            "the run diverged and went on with another learning rate, which is now that of all epochs"
        )
    return tuple(notes)


def _recipe_options(recipe: dict[str, Any], norm: str | None, by_a_run: bool) -> dict[str, Any]:
    """The name of the recipe and the hyper-parameters."""
    known = hyperparameters(Recipe)
    _check_keys(recipe, ("name", *known), "name and hyper-parameters of a recipe", prefix="recipe: ")
    name = recipe.get("name")
    if name is not None and not (isinstance(name, str) and RECIPE_NAME.fullmatch(name)):
        raise UserError(f"recipe: name: expected letters, digits, '-', '_' and '.', got {name!r}")
    values = {key: value for key, value in recipe.items() if key in known}
    for key, value in values.items():
        try:
            known[key].check(key, value)
        except UserError as error:
            raise UserError(f"recipe: {error}") from error
    if (
        by_a_run
    ):  # an earlier version knew fewer hyper-parameters; the defaults of those that were added change nothing
        values = {key: getattr(Recipe(), key) for key in known} | values
        for penalty in ("l1", "l2"):  # the run has filled in its norm's own ones; --norm may name another
            left_open = getattr(RECIPES.get(str(name), Recipe()), penalty) is None
            if left_open and norm is not None and values[penalty] == getattr(NORMS[norm], penalty):
                values[penalty] = None
    return ({"recipe": name} if name is not None else {}) | values


def _data_options(data: dict[str, Any]) -> dict[str, Any]:
    """--data and --held-out."""
    _check_keys(data, rundir.DATA, "name, source, sha256 and held_out", prefix="data: ")
    for key in ("name", "source"):
        if not isinstance(data.get(key, ""), str):
            raise UserError(f"data: {key}: expected text, got {data[key]!r}")
    name, source = data.get("name"), data.get("source", "")
    if name is None:
        return {"held_out": _whole("data: held_out", data["held_out"])} if "held_out" in data else {}
    held_out = data.get("held_out")
    if held_out is None:  # a run of an earlier version, which has it in the name alone
        found = re.fullmatch(r".*-held-out-(\d{1,9})", name)
        held_out = int(found[1]) if found and Path(source).stem != name else 0
    held_out = _whole("data: held_out", held_out)
    name = name.removesuffix(f"-held-out-{held_out}") if Path(source).stem != name else name
    return {"data": name if name in NAMES else source or name, "held_out": held_out}


def _check_keys(
    found: Mapping[str, Any],
    known: Iterable[str],
    expected: str,
    hints: Mapping[str, str] | None = None,
    *,
    prefix: str = "",
) -> None:
    known = list(known)
    for key in found:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            hint = (hints or {}).get(key) or (repr(close[0]) if close else "")
            raise UserError(
                f"{prefix}expected {expected}, got {key!r}" + (f"; did you mean {hint}?" if hint else "")
            )


def _object(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{name}: expected a JSON object, got {value!r}")
    return value


def _whole(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise UserError(f"{name}: expected a whole number, 0 to {2**31 - 1}, got {value!r}")
    return value

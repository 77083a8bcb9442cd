"""python -m kerasnorm.pytorch: convert a PyTorch checkpoint to a Keras model, or back."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from export.command import Parser, import_tensorflow_quietly, run
from export.errors import UserError
from export.files import write_whole
from kerasnorm.norms import NORMS, check_groups, with_groups
from kerasnorm.pytorch import (
    model_from_state_dict,
    read_state_dict,
    state_dict_from_model,
    write_state_dict,
)


def parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = Parser(
        description="Convert a PyTorch checkpoint of the study's network to a Keras model, or back.",
    )
    parser.add_argument(
        "source", metavar="SOURCE", help="a checkpoint (.pt, .pth, .npz), or a .keras model to convert back"
    )
    parser.add_argument("-o", "--out", required=True, metavar="FILE", help="the model, or the checkpoint")
    parser.add_argument("--norm", choices=NORMS, help="the checkpoint's normalization")
    parser.add_argument(
        "--groups",
        type=int,
        metavar="N",
        help=f"number of groups, for {', '.join(with_groups())} (default: filters / 4)",
    )
    parser.add_argument(
        "--image-size", type=int, default=28, metavar="N", help="height and width, pixels (default: 28)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Convert, and print the number of weights."""
    arguments = parser().parse_args(argv)
    source, out = Path(arguments.source), Path(arguments.out)
    back = source.suffix == ".keras"
    if not back and out.suffix != ".keras":
        raise UserError(f"{out}: expected a name ending in .keras")
    if not back and arguments.norm is None:
        raise UserError(
            f"norm: expected the checkpoint's normalization, got none; give --norm with one of {', '.join(NORMS)}"
        )
    if back:
        if not source.exists():
            raise UserError(f"{source}: expected a Keras model, found no file of that name")
        import_tensorflow_quietly()
        import kerasnorm.normalizations  # noqa: F401  # their layers may be in the file
        from export.load import load_model

        state = state_dict_from_model(load_model(source))
        write_state_dict(out, state)
    else:
        if arguments.groups is not None and not NORMS[arguments.norm].has_groups:
            check_groups(arguments.norm, arguments.groups, arguments.groups)
        state = read_state_dict(source)  # before the seconds of TensorFlow's start
        import_tensorflow_quietly()
        model = model_from_state_dict(state, arguments.norm, arguments.image_size, groups=arguments.groups)
        write_whole(out, model.save)
    print(f"{out}: {sum(array.size for array in state.values() if array.ndim):,} numbers from {source}")
    return 0


def cli() -> int:
    """Entry point of the command."""
    return run(main)

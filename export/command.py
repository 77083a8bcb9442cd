"""The plumbing of every command line: one-line errors, exit codes and a quiet start of Keras.

Standard library only, so that a command that serves a model on a small machine can use it.

Exit codes: 0 success; 1 the work failed its own check; 2 wrong use or unusable input; 130 interrupted by Ctrl-C.
Every code but 0 comes with one line on stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from export import __version__
from export.errors import CheckError, KerasnormError, UserError
from export.terminal import escape

__all__ = [
    "CheckError",
    "Parser",
    "UserError",
    "called_as",
    "import_keras_quietly",
    "import_tensorflow_quietly",
    "run",
    "set_tensorflow_environment",
]

INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def called_as() -> str:
    """How the user called this program: `python -m export`, or the name of a script, such as `kerasnorm-export`."""
    name = Path(sys.argv[0]).name.removesuffix(".exe")
    module = getattr(sys.modules["__main__"], "__spec__", None)
    if module is None or not name.endswith(".py"):
        return name
    return f"python -m {module.name.removesuffix('.__main__')}"


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, without the usage message, and that has `--version`.

    Its name is how the user called the program, unless `prog` says otherwise.
    """

    def __init__(self, *, prog: str | None = None, **options: Any) -> None:
        super().__init__(prog=prog or called_as(), **options)
        self.add_argument(
            "--version",
            action="version",
            version=f"kerasnorm {__version__}",
            help="show the version and exit",
        )

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and one line on stderr."""
        self.exit(2, f"{self.prog}: error: {_one_line(message)} (see {self.prog} --help)\n")


def run(main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None = None) -> int:
    """Call `main(argv)` and turn the errors that a user can cause into one line on stderr and an exit code.

    Other errors keep their traceback: they are bugs, and a bug report needs it.
    """
    try:
        return main(argv)
    except KerasnormError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt as error:
        return _fail(str(error) or "interrupted; run the same command again to start over", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output (`| head`) has closed it. Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno is None:
            raise
        name = f" {error.filename}:" if error.filename else ""
        return _fail(f"expected a readable and writable file system;{name} {error.strerror}")
    except MemoryError as error:
        return _fail(
            f"expected more memory: {error or 'an allocation failed'}; use a smaller batch or data set"
        )


def _fail(message: str, code: int = 2) -> int:
    print(f"error: {_one_line(message)}", file=sys.stderr)
    return code


def _one_line(message: str) -> str:
    """The message on one line, without the control characters that a name in it may have."""
    return escape(" ".join(message.split()))


def set_tensorflow_environment() -> None:
    """Set what TensorFlow reads at import, unless the user has set it: no log lines, and oneDNN."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # TensorFlow enables oneDNN's convolutions only on processors with AVX-512. With AVX2 they save a quarter of a
    # small CNN's training step, too. Without oneDNN there is no channels_first convolution on a CPU.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def import_keras_quietly() -> None:
    """Import Keras with its backend, without the log lines that TensorFlow writes to stderr as it starts.

    Raises:
        UserError: the backend can't be imported.
    """
    set_tensorflow_environment()
    try:
        with _without_log_lines():
            import keras
    except (ImportError, ValueError) as error:  # Keras raises ValueError for a name that is no backend's
        raise UserError(
            "KERAS_BACKEND: expected an installed backend of Keras (tensorflow, jax or torch), got "
            f"{os.environ.get('KERAS_BACKEND') or 'none, which means tensorflow'}: {error}; install it, or set "
            "KERAS_BACKEND to another"
        ) from error
    if keras.backend.backend() == "tensorflow":
        import_tensorflow_quietly()


def import_tensorflow_quietly() -> None:
    """Import TensorFlow without the log lines that it writes to stderr as it starts."""
    set_tensorflow_environment()
    with _without_log_lines():
        import tensorflow as tf

        tf.config.list_physical_devices()  # the search for a GPU logs, too


@contextlib.contextmanager
def _without_log_lines() -> Iterator[None]:
    """Hold back what is written to stderr, until the context ends; show it if the context raises.

    TensorFlow's C++ code writes log lines before it reads its log level, so only redirecting the file descriptor stops
    them.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except Exception:
            os.dup2(stderr, 2)
            held_back.seek(0)
            sys.stderr.write(held_back.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)

"""What the commands of both packages share: how a user's mistake is reported, and a quiet start.

Standard library only, so that a command which serves a model on a small machine can use it.

Exit codes: 0 done; 1 the work failed its own check; 2 wrong use or unusable input (one line on stderr).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import NoReturn


class UserError(ValueError):
    """What the user gave can't be used. The message says what was expected, what came and what to do."""


class CheckError(Exception):
    """The work was done and failed its own check; nothing was written under the name asked for."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, without the usage in front."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and one line on stderr."""
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def run(main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None = None) -> int:
    """Call `main(argv)`; turn what a user can cause into one line on stderr and an exit code.

    Errors that nobody foresaw keep their traceback: they are bugs, and a report needs it.
    """
    try:
        return main(argv)
    except CheckError as error:
        return _fail(str(error), code=1)
    except UserError as error:
        return _fail(str(error))
    except KeyboardInterrupt as error:
        return _fail(str(error) or "interrupted")
    except BrokenPipeError:
        # Whoever read our output (`| head`) has seen enough; Python would complain again while closing it.
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
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return code


def set_tensorflow_environment() -> None:
    """What TensorFlow reads as it is imported, where the user has not set it: no log, and oneDNN."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Its convolutions by oneDNN, which TensorFlow takes by default only where there is AVX-512. With AVX2 too, a
    # training step of a small CNN takes a quarter less time. Without it none is channels_first on CPU.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def import_tensorflow_quietly() -> None:
    """Import TensorFlow without the log lines that it writes to stderr as it starts.

    They are written by C++ code before its log level is read, so only the file descriptor stops them.
    What was held back is shown if the import fails.
    """
    set_tensorflow_environment()
    if "tensorflow" in sys.modules:
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()  # the search for a GPU has noise of its own
        except BaseException:
            os.dup2(stderr, 2)
            held_back.seek(0)
            sys.stderr.write(held_back.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)

"""`python -m kerasnorm`, the same as the command `kerasnorm`: see `kerasnorm.cli.main`."""

import sys

from kerasnorm.cli.main import cli

if __name__ == "__main__":
    sys.exit(cli())

"""`python -m kerasnorm.demo`: see `kerasnorm.cli.demo`."""

import sys

from kerasnorm.cli.demo import cli

if __name__ == "__main__":
    sys.exit(cli())

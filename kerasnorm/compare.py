"""`python -m kerasnorm.compare`, the study: see `kerasnorm.cli.compare` and `kerasnorm.study`."""

import sys

from kerasnorm.cli.compare import cli

if __name__ == "__main__":
    sys.exit(cli())

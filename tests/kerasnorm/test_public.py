import subprocess
import sys

import pytest

import kerasnorm


def test_every_public_name_can_be_imported() -> None:
    for name in kerasnorm.__all__:
        assert getattr(kerasnorm, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        kerasnorm.nothing  # noqa: B018


def test_importing_the_package_loads_no_framework() -> None:
    program = "import sys, kerasnorm, kerasnorm.train; print([m for m in ('keras', 'tensorflow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr

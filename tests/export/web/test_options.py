import argparse
from pathlib import Path

import pytest

from export.errors import UserError
from export.web.options import add_page_options, check_page_options


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_page_options(parser)
    return parser.parse_args(["-o", "page", *words])


def test_defaults() -> None:
    arguments = parsed()
    check_page_options(arguments)
    assert (arguments.output, arguments.title, arguments.runtime) == ("page", None, None)
    assert not arguments.single_file
    assert not arguments.webgpu


@pytest.mark.parametrize("option", ["--single-file", "--webgpu"])
def test_options_that_need_the_runtime(tmp_path: Path, option: str) -> None:
    check_page_options(parsed(option, "--runtime", str(tmp_path)))
    with pytest.raises(
        UserError, match=f"{option[2:]}: expected --runtime FOLDER with it, got none; npm install"
    ):
        check_page_options(parsed(option))


def test_a_runtime_that_is_no_folder() -> None:
    with pytest.raises(
        UserError, match="nowhere: expected the folder dist of onnxruntime-web, found no such folder"
    ):
        check_page_options(parsed("--runtime", "nowhere"))

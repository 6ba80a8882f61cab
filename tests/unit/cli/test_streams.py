"""What nobody else expected of files and streams ends a command in one line."""

import errno

import pytest

from gateway.cli.streams import guarded


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file", "a/b"), "error: a/b: No such file\n"),
        (OSError(errno.ENOSPC, "No space", b"a/b"), "error: a/b: No space\n"),
        (OSError(errno.EMFILE, "Too many open files"), "error: Too many open files\n"),
        (OSError("odd"), "error: OSError\n"),
    ],
)
def test_an_error_of_a_file(capsys: pytest.CaptureFixture[str], error: OSError, told: str) -> None:
    """Its name, if it has one, and the reason; exit code 1."""
    with pytest.raises(SystemExit) as ended, guarded():
        raise error
    assert ended.value.code == 1
    assert capsys.readouterr() == ("", told)


def test_other_errors_are_defects() -> None:
    """They are not made to look like an operator's."""
    with pytest.raises(ZeroDivisionError), guarded():
        raise ZeroDivisionError


def test_a_command_ends_as_it_wants() -> None:
    """Its exit code is its own."""
    with pytest.raises(SystemExit) as ended, guarded():
        raise SystemExit(2)
    assert ended.value.code == 2

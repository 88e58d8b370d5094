"""The commands of python -m minigrad."""
from __future__ import annotations

import re

import pytest

from minigrad.__main__ import main


def test_alone_it_prints_its_help(capsys):
    assert main([]) == 0
    assert "warmup" in capsys.readouterr().out


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0 and re.fullmatch(r"minigrad \d+\.\d+.*\n", capsys.readouterr().out)


def test_an_unknown_command_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        main(["warmpu"])
    assert end.value.code == 2 and "invalid choice: 'warmpu'" in capsys.readouterr().err

"""All of `make parity` passes for the next version: as it is begun, and as coarse as proposed.

By `make rehearse`: it takes a minute for each, and needs Node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import coarser
import governance
import mutants
import node
import pytest

from getpatter.telemetry._tables import SCHEMA_VERSION

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    node.set_up()
    mutants.copy(tmp_path)
    return tmp_path


def test_it_passes_for_a_version_that_is_only_begun(copy: Path) -> None:
    governance.accept(copy / "schemas", SCHEMA_VERSION)
    code, said = mutants.run(copy, "schemas/next_version.py")
    assert code == 0, said
    assert_passes(copy)


def test_it_passes_for_the_coarser_version(copy: Path) -> None:
    coarser.make(copy)
    assert_passes(copy)


def assert_passes(copy: Path) -> None:
    code, said = mutants.run(copy, "schemas/parity.py")
    assert code == 0, said
    assert "==> all checks passed" in said

"""The pages in a real browser: at two widths, light and dark, without scripts, by keyboard."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from collector_pages import PATHS
from collector_process import Collector, command, starting

LOOK = Path(__file__).parent / "look.py"
PAGES = [*PATHS, "questions?question=cost_usd&by=engine", "errors?os=linux&since=7d", "?os=nope"]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    data = tmp_path_factory.mktemp("filled") / "data"
    done = command("simulate", "--out", str(data), "--installs", "300", "--days", "30")
    assert done.returncode == 0, done.stderr
    with starting() as start:
        collector = start(data)
        collector.post([{"event": "nothing"}])
        yield collector


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with starting() as start:
        yield start(tmp_path_factory.mktemp("empty") / "data")


def looked(base: str, *paths: str) -> Any:
    python, browser, axe = (os.environ[f"BROWSER_{name}"] for name in ("PYTHON", "PROGRAM", "AXE"))
    done = subprocess.run(
        [python, LOOK, browser, axe, base, *paths],
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("which", ["filled", "empty"])
def test_nothing_is_wrong_with_a_page(which: str, request: pytest.FixtureRequest) -> None:
    collector = request.getfixturevalue(which)
    found = looked(collector.pages, *(PAGES if which == "filled" else ("", "arriving")))["found"]
    # A browser says on its console that the page of a filter that cannot be is a 400.
    assert [one for one in found if "status of 400" not in one] == []


def test_the_report_is_a_page_of_its_own(filled: Collector, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    done = command("report", "--out", str(path), "--data", str(filled.data))
    assert done.returncode == 0, done.stderr
    assert looked(tmp_path.as_uri() + "/", "report.html")["found"] == []

"""The pages in a real browser, below a path of a real nginx: by width, colours and keyboard."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from urllib.request import urlopen

import pytest
from collector_pages import PATHS, Document
from collector_process import Collector, command, starting
from nginx import free_port, serving

LOOK = Path(__file__).parent / "look.py"
PAGES = [*PATHS, "questions?question=cost_usd&by=engine", "errors?os=linux&since=7d", "?os=nope"]


@contextmanager
def below_a_path(directory: Path, pages: str) -> Iterator[str]:
    """Serve the pages below a path; yield the address."""
    directory.mkdir()
    port = free_port()
    location = f"location /tools/collector/ {{ proxy_pass {pages}; }}"
    with serving(directory, f"server {{ listen 127.0.0.1:{port}; access_log off; {location} }}"):
        yield f"http://127.0.0.1:{port}/tools/collector/"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    data = tmp_path_factory.mktemp("filled") / "data"
    done = command("simulate", "--out", str(data), "--installs", "300", "--days", "30")
    assert done.returncode == 0, done.stderr
    with starting() as start:
        collector = start(data)
        assert collector.post([{"event": "nothing"}]).status == 200
        yield collector


def looked(base: str, *paths: str) -> Any:
    """Return what is wrong with these pages."""
    python, browser, axe = (os.environ[f"BROWSER_{name}"] for name in ("PYTHON", "PROGRAM", "AXE"))
    done = subprocess.run(
        [python, LOOK, browser, axe, base, *paths],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    # A browser says on its console that the page of a filter that cannot be is a 400.
    return [one for one in json.loads(done.stdout) if "status of 400" not in one]


def test_nothing_is_wrong_with_a_page(filled: Collector, tmp_path: Path) -> None:
    with below_a_path(tmp_path / "nginx", filled.pages) as base:
        assert looked(base, *PAGES) == []


def test_nothing_is_wrong_with_a_page_of_an_empty_store(tmp_path: Path) -> None:
    with starting() as start:
        assert looked(start(tmp_path / "data").pages, "", "arriving") == []


def test_nothing_is_wrong_with_the_report(filled: Collector, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    done = command("report", "--out", str(path), "--data", str(filled.data))
    assert done.returncode == 0, done.stderr
    assert looked(tmp_path.as_uri() + "/", "report.html") == []


def test_behind_the_proxy_no_link_leaves_its_path_and_none_is_dead(
    filled: Collector, tmp_path: Path
) -> None:
    with below_a_path(tmp_path / "nginx", filled.pages) as base:
        links = set()
        for page in PATHS:
            with urlopen(base + page, timeout=60) as answer:  # noqa: S310 - our own address
                shown = Document(answer.read().decode())
            links |= {urljoin(base + page, link) for link in (*shown.links, *shown.resources)}
        assert len(links) > 100
        for link in links:
            assert link.startswith(base)
            with urlopen(link, timeout=60) as answer:  # noqa: S310 - our own address
                assert answer.status == 200

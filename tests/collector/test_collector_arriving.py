"""The page of what arrives: the last requests, without what they say."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from collector_pages import Document
from collector_process import Collector, event, hex_id, starting

pytest_plugins = ("collector_fixtures",)


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    with starting() as start:
        yield start(tmp_path / "data")


def page(collector: Collector) -> Document:
    answer = collector.request("GET", "/arriving", pages=True)
    assert answer.status == 200
    return Document(answer.body.decode())


def test_what_was_taken_and_what_was_refused_is_shown_without_its_content(
    collector: Collector,
) -> None:
    assert collector.endpoint in page(collector).said("code")
    install, run, key = hex_id(), hex_id(), hex_id()
    good = event(install_id=install, run_id=run)
    bad = event(install_id=install, run_id=run, os="<b>amiga</b>")
    assert collector.post([good, good, bad], key, Patter_Batch_Age="0").status == 200
    assert collector.post([good, good, bad], key, Patter_Batch_Age="0").status == 200
    html = {"Content-Type": "text/html"}
    assert collector.request("POST", "/v1/ingest", b"{", html).status == 415
    shown = page(collector)
    assert shown.said("headline").endswith("3 of the last 3 were not accepted, or only in part.")
    lines = shown.said("tbody")
    assert "415 not JSON" in lines
    assert "cli_command \N{MULTIPLICATION SIGN} 3" in lines
    assert "python 0.7.2" in lines
    assert "repeated" in lines
    assert "/os enum" in lines
    for content in (install, run, key, "amiga", "linux"):
        assert content not in shown.text


def test_only_the_last_fifty_are_kept(collector: Collector) -> None:
    for _ in range(52):
        assert collector.request("GET", "/v1/ingest").status == 405
    assert page(collector).counts["time"] == 50

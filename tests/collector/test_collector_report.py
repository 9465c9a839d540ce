"""The pages as one file."""

import re
from base64 import b64encode
from functools import partial
from hashlib import sha256
from pathlib import Path

from collector_pages import Document, check_document, tell
from collector_process import Start, command

from getpatter.collector import answering
from getpatter.collector.pages import report
from getpatter.collector.pages.contents import PAGES
from getpatter.collector.store import Store

pytest_plugins = ("collector_fixtures",)


def check_report(text: str) -> Document:
    """It loads nothing, and each link leads to a part of it."""
    document = check_document(text)
    assert document.resources == []
    assert {link.removeprefix("#") for link in document.links} <= {*document.ids}
    assert all(link.startswith("#") for link in document.links)
    style = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    assert len(style) == 1
    digest = b64encode(sha256(style[0].encode()).digest()).decode()
    policy = f"default-src &#39;none&#39;; style-src &#39;sha256-{digest}&#39;"
    assert policy in text or policy.replace("&#39;", "'") in text
    assert "url(" not in style[0]
    assert "@import" not in style[0]
    titles = {page.title for page in PAGES} - {"Questions"}
    assert titles <= set(document.ids)
    return document


def test_the_report_has_every_page_and_loads_nothing(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "data"))
    empty = check_report(report(partial(answering.ask, store)))
    assert empty.said("headline").count("Nothing that this page shows has arrived") == 6
    tell(store)
    document = check_report(report(partial(answering.ask, store)))
    assert "0.7.2: 50.0 % [" in document.said("headline")
    assert "0.7.2 is worse than 0.7.1: calls that failed" in document.said("headline")
    store.close()


def test_the_command_writes_it_beside_a_running_collector_and_without_one(
    start: Start, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    store = Store(str(data))
    tell(store)
    store.close()
    written = {}
    for name in ("alone", "beside"):
        path = tmp_path / f"{name}.html"
        collector = start(data) if name == "beside" else None
        done = command("report", "--out", str(path), "--data", str(data))
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{path}\n", "")
        written[name] = path.read_text("utf-8")
        check_report(written[name])
        if collector is not None:
            assert collector.end() == (0, "")
    assert written["alone"] == written["beside"]


def test_without_a_store_it_is_one_line_and_exit_2(tmp_path: Path) -> None:
    done = command("report", "--out", str(tmp_path / "x.html"), "--data", str(tmp_path / "none"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("getpatter collector: there is no store in ")
    assert not (tmp_path / "x.html").exists()

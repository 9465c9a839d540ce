"""The pages: well formed, without a request to anybody, and true."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest
from collector_pages import PATHS, Reader, check_document, reading, tell
from collector_story import START, call, put, rows

from getpatter.collector import answers, clock
from getpatter.collector.answers.text import figure
from getpatter.collector.pages.contents import PAGES, content_of
from getpatter.collector.pages.render import html
from getpatter.collector.pages.selection import Selection, Wanted
from getpatter.collector.store import Store

HOSTILE = "\"'><script src=//x>alert(1)</script>&amp;{{ 7 * 7 }}"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(str(tmp_path_factory.mktemp("told") / "data"))
    tell(store)
    yield store
    store.close()


@pytest.fixture(scope="module")
def reader(told: Store) -> Iterator[Reader]:
    with reading(told) as made:
        yield made


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Reader]:
    store = Store(str(tmp_path / "data"))
    with reading(store) as made:
        yield made
    store.close()


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_well_formed_and_asks_nobody_else(
    reader: Reader, empty: Reader, path: str
) -> None:
    for one in (reader, empty):
        shown = one.get(path)
        assert shown.status == 200
        check_document(shown.text)
        policy = shown.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'none'" in policy
        assert "unsafe" not in policy
        assert "set-cookie" not in shown.headers


def test_under_a_prefix_no_link_leaves_it_and_none_is_dead(reader: Reader) -> None:
    seen: set[Any] = set()
    left = [""]
    while left:
        page = left.pop()
        shown = reader.get(page)
        assert shown.status == 200, page
        if "html" not in shown.headers["content-type"]:
            continue
        for link in (*shown.document.links, *shown.document.resources):
            url = urlsplit(urljoin(f"{reader.prefix}{page}", link))
            query = dict(parse_qsl(url.query))
            # Each page with each filter, each question and each answer once.
            what = (url.path, query.get("question") or "answers/" in url.path or frozenset(query))
            if what not in seen:
                seen.add(what)
                target = url.path.removeprefix(reader.prefix)
                left.append(target + (f"?{url.query}" if url.query else ""))
    paths = {path.removeprefix(reader.prefix) for path, _ in seen}
    assert set(PATHS) <= paths
    names = {one["name"] for one in answers.listing()}
    assert {f"answers/{name}.{kind}" for name in names for kind in ("csv", "json")} <= paths


def test_filters_stay_in_the_links(reader: Reader) -> None:
    shown = reader.get("errors?carrier=twilio&since=90d").document
    pages = [
        dict(parse_qsl(urlsplit(link).query))
        for link in shown.links
        if urlsplit(link).path in {path or "./" for path in PATHS}
    ]
    kept = [query for query in pages if query.get("carrier") == "twilio"]
    assert len(kept) == len(PATHS) + 4  # the pages, and the periods
    tables = [link for link in shown.links if link.startswith("answers/failures.csv")]
    assert tables
    assert all("carrier=twilio&" in link and "since=90d" in link for link in tables)


def test_a_filter_that_cannot_be_is_said_and_escaped(reader: Reader) -> None:
    for query in (f"os={HOSTILE}", f"{HOSTILE}=1", "since=never", "question=nope"):
        shown = reader.get("questions?" + query.replace("&", "%26").replace("#", "%23"))
        assert shown.status == 400
        check_document(shown.text)
        assert "cannot be asked" in shown.headline
    assert reader.get("?os=linux&os=macos").status == 400


def poisoned(value: Any) -> Any:
    """Each word of an answer, with markup behind it."""
    if isinstance(value, str):
        return value + HOSTILE
    if isinstance(value, Mapping):
        return {key: value[key] if key == "unit" else poisoned(value[key]) for key in value}
    return value


@pytest.mark.parametrize("page", [*PAGES], ids=lambda page: page.title)
def test_every_word_of_an_answer_is_escaped(told: Store, page: Any) -> None:
    chosen = Selection({}, question="package_manager" if page.path == "questions" else "")
    told.fold()

    def ask(one: Wanted) -> dict[str, Any]:
        found = answers.answer(one.name, dict(one.filters), told.query, clock.now())
        dates = {"day", "first week", "step", "what", "then", "measure", "ran again after", "fact"}
        for row in found["rows"]:
            row["cell"] = {
                key: value if key in dates | {"unit", "verdict"} else poisoned(value)
                for key, value in row["cell"].items()
            }
        return {**found, **{key: poisoned(found[key]) for key in ("definition", "sql", "filters")}}

    found = {key: ask(one) for key, one in page.wanted(chosen).items()}
    values = {
        "pages": PAGES,
        "path": page.path,
        "title": page.title,
        "chosen": chosen,
        "periods": {},
        "choices": {name: [HOSTILE] for name in page.filters},
        "by": (HOSTILE,),
        "page": page,
        "content": content_of(page, chosen, found),
        "unused": [HOSTILE],
        "recommended": {HOSTILE: HOSTILE},
        "provisional": HOSTILE,
    }
    text = html("page.html", values)
    check_document(text)
    assert "&lt;script" in text
    assert "{{ 7 * 7 }}" in text


def test_the_overview_says_what_a_maintainer_should_know(reader: Reader) -> None:
    shown = reader.get("").document
    head = shown.said("headline")
    assert head.startswith("0.7.2: 50.0 % [")
    assert "of calls fail; worse than 0.7.1; " in head
    assert head.endswith("the error of most installs is llm/timeout with openai and twilio.")
    assert "most often by missing llm key." in shown.said("detail")


def test_the_other_pages_begin_with_what_they_found(reader: Reader) -> None:
    head = {path: reader.get(path).headline for path in PATHS}
    assert head["release"].startswith("0.7.2 is worse than 0.7.1: calls that failed +45.0 points [")
    assert head["errors"].startswith("27.5 % [")
    assert head["errors"].endswith("llm/timeout with openai and twilio: 30 installs.")
    assert head["setup"].endswith("are blocked before they start, most often by missing llm key.")
    assert "if every lost call had failed, 27.5 %. No event was rejected." in head["quality"]
    recommended = "This collector recommends to its clients: sample_rate 0.1."
    notes = {path: recommended in reader.get(path).document.said("note") for path in PATHS}
    assert [path for path, is_said in notes.items() if is_said] == ["quality"]
    assert head["latency"] == "Nothing that this page shows has arrived in the last 30 days."
    assert head["arriving"].startswith("Nothing has arrived since this collector started")
    asked = reader.get("questions?question=package_manager").headline
    assert asked.startswith("For which package managers are installation instructions needed? uv: ")


def test_of_few_installs_nothing_is_claimed(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "data"))
    tell(store, installs=20)
    with reading(store) as one:
        head = one.get("").headline
        assert "cannot tell yet whether that is worse than 0.7.1; it rests on few installs" in head
        assert one.get("release").headline.startswith("Cannot tell yet whether 0.7.2 is worse")
        assert "few installs" in one.get("errors").document.said("tag")
    store.close()


@pytest.mark.parametrize("path", [path for path in PATHS if path not in {"questions", "arriving"}])
def test_an_empty_store_says_so_and_where_to_look(empty: Reader, path: str) -> None:
    shown = empty.get(path)
    assert shown.headline == "Nothing that this page shows has arrived in the last 30 days."
    assert "Arriving" in shown.document.said("detail")
    assert empty.get(f"{path}?os=linux").headline == "Nothing has arrived that these filters leave."


def test_of_one_release_there_is_nothing_to_compare(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "data"))
    put(store, [START, *call()], days_ago=9)
    with reading(store) as one:
        assert "nothing to compare yet" in one.get("release").headline
        assert one.get("release?release=9.9.9").status == 200
        assert "cannot be compared" in one.get("release?release=9.9.9").headline
    store.close()


@pytest.mark.parametrize("path", ["", "setup"])
def test_the_figures_are_those_of_the_answer(told: Store, reader: Reader, path: str) -> None:
    shown = reader.get(path).document.said("figure")
    for row in rows(told, "funnel", since="30d"):
        assert row["estimate"] is None or figure(row) in shown

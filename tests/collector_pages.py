"""The pages of a store, asked for in this process, and what a browser would read in them."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

from collector_story import START, call, failed_call, install_id, put
from starlette.applications import Starlette

from getpatter.collector import clock
from getpatter.collector.answering import Answering
from getpatter.collector.arrivals import Arrivals
from getpatter.collector.pages import Site
from getpatter.collector.store import Store

PATHS = ("", "release", "errors", "latency", "setup", "quality", "questions", "arriving")
_VOID = {"meta", "link", "input", "br", "col"}
_SVG = {"line", "circle", "rect", "path"}


@dataclass
class Document(HTMLParser):
    """An HTML document, read strictly: a tag that is not closed in order fails."""

    text: str
    links: list[str] = field(default_factory=list)
    resources: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    attributes: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    parts: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[tuple[str, str]] = []
        self.feed(self.text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        assert len(found) == len(attrs), (tag, attrs)
        self.counts[tag] += 1
        self.attributes.update(found)
        if tag == "a":
            self.links.append(found["href"])
        elif tag == "form":
            self.links.append(found["action"])
        self.resources += [found[key] for key in ("src", "srcset", "data") if key in found]
        if tag == "link":
            self.resources.append(found["href"])
        if "id" in found:
            self.ids.append(found["id"])
        if "aria-labelledby" in found:
            self.labels.append(found["aria-labelledby"])
        if tag not in _VOID:
            self._open.append((tag, found.get("class", "")))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _SVG, (tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, tag
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for tag, kind in {*self._open}:
            for name in {tag, *kind.split()}:
                self.parts[name].append(data)

    def said(self, kind: str) -> str:
        """Return the text of all elements of this class or name."""
        return " ".join("".join(self.parts[kind]).replace("\N{NO-BREAK SPACE}", " ").split())


def check_document(text: str) -> Document:
    """Check what holds for every document; return it."""
    document = Document(text)
    assert (document.counts["h1"], document.counts["main"]) == (1, 1)
    assert document.counts["script"] == 0
    assert not {name for name in document.attributes if name.startswith("on") or name == "style"}
    assert len(set(document.ids)) == len(document.ids)
    assert set(document.labels) <= set(document.ids)
    for link in (*document.links, *document.resources):
        parts = urlsplit(link)
        assert (parts.scheme, parts.netloc, parts.path.startswith("/")) == ("", "", False), link
    return document


@dataclass(frozen=True)
class Shown:
    """What was answered."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def document(self) -> Document:
        return Document(self.text)

    @property
    def headline(self) -> str:
        return self.document.said("headline")


class Reader:
    """Asks for pages as a browser behind a proxy does: the prefix is the proxy's."""

    prefix = "/tools/collector/"

    def __init__(self, store: Store) -> None:
        site = Site(
            store,
            Answering(store),
            Arrivals(clock.now()),
            lambda: "http://127.0.0.1:8417/v1/ingest",
            lambda: {"sample_rate": 0.1},
        )
        self._application = Starlette(routes=site.routes())
        self._loop = asyncio.new_event_loop()

    def close(self) -> None:
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def get(self, link: str, base: str = "") -> Shown:
        """Follow a link from a page. It must not lead out of the prefix."""
        url = urlsplit(urljoin(f"http://proxy{self.prefix}{base}", link))
        assert (url.netloc, url.path.startswith(self.prefix)) == ("proxy", True), link
        return self._loop.run_until_complete(
            self._ask("/" + url.path.removeprefix(self.prefix), url.query)
        )

    async def _ask(self, path: str, query: str) -> Shown:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [],
            "root_path": "",
        }
        await self._application(scope, receive, send)
        body = b"".join(message.get("body", b"") for message in sent[1:])
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Shown(sent[0]["status"], headers, body.decode())


@contextmanager
def reading(store: Store) -> Iterator[Reader]:
    """Read the pages of a store."""
    made = Reader(store)
    try:
        yield made
    finally:
        made.close()


def tell(store: Store, *, installs: int = 60) -> None:
    """Put two releases into a store: in 0.7.1 every twentieth call fails, in 0.7.2 every second."""
    common = {"carrier": "twilio", "engine": "pipeline", "provider": "openai"}
    for number in range(installs):
        for release, each in (("0.7.1", 20), ("0.7.2", 2)):
            made = failed_call if number % each == 0 else call
            some = [one for _ in range(2) for one in made(direction="inbound", **common)]
            put(
                store,
                [{**START, "package_manager": "uv"}, *some],
                install=install_id(number % 64),
                sdk_version=release,
                days_ago=9,
            )
    for number in range(installs // 6):
        release = ("0.7.1", "0.7.2")[number % 2]
        blocked = {"event": "config_incomplete", "missing": "llm_key"}
        put(store, [blocked], sdk_version=release, days_ago=9)

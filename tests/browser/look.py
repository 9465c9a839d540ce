"""Looks at pages with a real browser, and prints what it found as JSON.

Run by the Python that has playwright: `look.py BROWSER AXE BASE PATH…`.
"""

import json
import sys
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

WIDTHS, SCHEMES = (320, 1280), ("light", "dark")
SERIOUS = {"serious", "critical"}
FOCUSABLE = "a[href], summary, select, input:not([type=hidden]), button, [tabindex='0']"
VISIBLE = f"[...document.querySelectorAll(`{FOCUSABLE}`)].filter(one => one.checkVisibility())"
# Drawings are hidden from all but the eye, and there are hundreds.
RUN = "axe.run({exclude: ['svg.mark']}, {resultTypes: ['violations']})"
SIZE = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"


def opened(browser: Browser, width: int, found: list[str], **options: Any) -> Page:
    """Return a page that adds to `found` what the console says, and each request elsewhere."""
    page = browser.new_context(viewport={"width": width, "height": 900}, **options).new_page()
    page.on("console", lambda message: found.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: found.append(f"error: {error}"))
    page.on("requestfailed", lambda request: found.append(f"failed: {request.url}"))
    return page


def looked(browser: Browser, axe: str, base: str, path: str) -> list[str]:
    """Return what is wrong with a page, in each width and scheme."""
    found: list[str] = []
    for width in WIDTHS:
        for scheme in SCHEMES:
            some: list[str] = []
            page = opened(browser, width, some, color_scheme=scheme)
            page.on("request", lambda request, some=some: some.extend(elsewhere(base, request.url)))
            page.goto(base + path)
            page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            has, may = page.evaluate(SIZE)
            if has > may:
                some.append(f"{has} pixels wide")
            page.evaluate(axe)
            for one in page.evaluate(RUN)["violations"]:
                if one["impact"] in SERIOUS:
                    some += [f"axe: {one['id']}: {node['html'][:200]}" for node in one["nodes"][:3]]
            found += [f"{path or 'overview'} {width} {scheme}: {text}" for text in some]
            page.context.close()
    return found


def elsewhere(base: str, url: str) -> list[str]:
    return [] if url.startswith(base) else [f"asked {url}"]


def walked(browser: Browser, base: str, path: str) -> list[str]:
    """Return what the keyboard does not reach, without scripts."""
    found: list[str] = []
    page = opened(browser, 1280, found, java_script_enabled=False)
    page.goto(base + path)
    count = page.evaluate(f"{VISIBLE}.length")
    reached = set()
    for _ in range(count + 3):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(f"{VISIBLE}.indexOf(document.activeElement)"))
    reached.discard(-1)
    if len(reached) < count:
        found.append(f"the keyboard reaches {len(reached)} of {count} controls")
    if not page.locator(".headline").first.inner_text():
        found.append("no headline without scripts")
    page.emulate_media(media="print")
    if page.locator("nav").is_visible():
        found.append("links are printed")
    if len(page.pdf(format="A4")) < 10_000:
        found.append("prints nothing")
    page.context.close()
    return [f"{path or 'overview'}: {text}" for text in found]


def main(program: str, axe_file: str, base: str, *paths: str) -> None:
    with open(axe_file, encoding="utf-8") as file:
        axe = file.read()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        found = [one for path in paths for one in looked(browser, axe, base, path)]
        found += [one for path in paths for one in walked(browser, base, path)]
        print(json.dumps(found))
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

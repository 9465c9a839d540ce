"""What the page on carriers says is what the tables say."""

import re
import subprocess
import sys
from pathlib import Path

import carriers_page as page
import pytest

from getpatter.integrations.carriers import tables

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "carriers.mdx").read_text("utf-8")


def test_the_page_is_what_the_tables_say() -> None:
    command = [sys.executable, str(ROOT / "schemas" / "carriers_page.py"), "--check"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_another_table_would_be_noticed() -> None:
    assert page.render(TEXT.replace("`user_busy`", "`user_dancing`")) == TEXT
    with pytest.raises(ValueError, match="no"):
        page.render("# Carriers")


def test_the_page_has_every_word() -> None:
    table = TEXT.partition(page.BEGIN)[2]
    words = set(re.findall(r"`([^`]+)`", table))
    for known in (tables.TWILIO_STATUSES, tables.TELNYX_CAUSES, tables.PLIVO_STATUSES):
        assert known.keys() <= words
    numbers = {int(number) for number in re.findall(r"\b\d{4}\b", table)}
    assert {low for low, _, _ in tables.PLIVO_CODES} <= numbers

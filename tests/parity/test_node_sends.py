"""Events of a client in TypeScript, sent by Node, are taken by a running collector."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from collector_process import Collector

pytest_plugins = ("collector_fixtures",)

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("runtime", ["node", "bun", "deno"])
def test_events_of_node_are_taken(shared: Collector, runtime: str) -> None:
    node = shutil.which("node")
    assert node is not None
    done = subprocess.run(
        [node, str(ROOT / "schemas/node/send.mjs"), str(ROOT), shared.endpoint, runtime],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    answer = json.loads(done.stdout)
    assert (answer["status"], answer["refused"]) == (200, [])
    assert answer["accepted"] == answer["sent"] > 10

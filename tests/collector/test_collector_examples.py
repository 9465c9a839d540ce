"""What lies in `examples/collector` fits the collector of this tree."""

import json
import re
import shlex
import subprocess
from pathlib import Path

from collector_process import COMMAND, Collector

pytest_plugins = ("collector_fixtures",)
EXAMPLES = Path(__file__).parents[2] / "examples" / "collector"


def test_the_dashboard_shows_what_the_collector_measures(shared: Collector) -> None:
    shared.post([{"event": "no"}])
    text = shared.request("GET", "/metrics", pages=True).body.decode()
    types = dict(re.findall(r"# TYPE (patter_\S+) (\S+)", text))
    known = {f"{name}_bucket" if kind == "histogram" else name for name, kind in types.items()}
    known -= {name for name in known if name.endswith("_created")}
    panels = json.loads(_text("grafana.json"))["panels"]
    shown = {
        name
        for panel in panels
        for target in panel["targets"]
        for name in re.findall(r"patter_\w+", target["expr"])
    }
    assert shown == known


def test_the_commands_of_the_units_and_the_image_start_a_collector(tmp_path: Path) -> None:
    unit = re.findall("(?m)^ExecStart=getpatter collector (.*)", _text("*.service"))
    image = re.findall("(?m)^CMD (.*)", _text("Dockerfile"))
    comments = re.findall("(?m)^#.* patter-collector (serve .*|token .*)", _text("Dockerfile"))
    commands = [shlex.split(unit[0]), json.loads(image[0]), *map(shlex.split, comments)]
    assert [command[0] for command in commands] == ["serve", "serve", "token", "serve"]
    for command in commands:
        here = [re.sub(":841[78]$", ":0", word) for word in command]
        here[here.index("--data") + 1] = str(tmp_path / "data")
        with subprocess.Popen([*COMMAND, *here], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert re.fullmatch(r"(ingest http://.*|\S{20,})\n", process.stdout.readline())
            if command[0] == "serve":
                process.terminate()
        assert process.returncode == 0


def _text(pattern: str) -> str:
    (path,) = EXAMPLES.glob(pattern)
    return path.read_text()

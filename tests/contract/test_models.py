"""The generated lists of public models, and the script that generates them."""

import ast
import importlib.util
import io
import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from getpatter.telemetry import _models, stack
from getpatter.telemetry._models import MODELS, PREFIXES
from getpatter.telemetry.stack import STACK_VENDORS, normalise_model

SCRIPT = Path(__file__).parents[2] / ".ci" / "refresh_models.py"
TEXT = Path(_models.__file__).read_text(encoding="ascii")
TREE = ast.parse(TEXT)


def test_each_vendor_has_a_list() -> None:
    assert MODELS.keys() == STACK_VENDORS
    assert PREFIXES.keys() <= STACK_VENDORS


@pytest.mark.parametrize("vendor", sorted(STACK_VENDORS))
def test_each_vendor_has_a_named_source_or_none_and_no_models(vendor: str) -> None:
    header = " ".join((ast.get_docstring(TREE) or "").split())
    entry = re.search(rf"- {vendor}: (.*?)(?: - |\Z)", header)
    assert entry
    has_source = re.fullmatch(r"[\w-]+ [\w.]+(, [\w-]+ [\w.]+)*", entry[1]) is not None
    assert has_source == bool(MODELS[vendor])


@pytest.mark.parametrize("vendor", sorted(STACK_VENDORS))
def test_names_are_as_the_client_spells_them(vendor: str) -> None:
    assert [name for name in MODELS[vendor] if normalise_model(name) != name] == []
    assert not MODELS[vendor] & {"other", "custom", ""}
    tokens = [f"{vendor}-{name}" for name in MODELS[vendor]]
    assert [token for token in tokens if not re.fullmatch("[a-z0-9][a-z0-9.-]{0,40}", token)] == []


def test_prefixes_can_be_matched() -> None:
    for prefixes in PREFIXES.values():
        assert [p for p in prefixes if f"{p}/x" != normalise_model(f"{p}/x") or "/" in p] == []


def test_lists_are_sorted_and_nothing_is_imported() -> None:
    assert not [n for n in ast.walk(TREE) if isinstance(n, ast.Import | ast.ImportFrom)]
    for node in ast.walk(TREE):
        if isinstance(node, ast.Dict | ast.Set):
            parts = node.keys if isinstance(node, ast.Dict) else node.elts
            words = [part.value for part in parts if isinstance(part, ast.Constant)]
            assert words == sorted(set(words), key=str)


@pytest.fixture
def script() -> Any:
    if not SCRIPT.exists():
        pytest.skip("the source distribution has no .ci")
    spec = importlib.util.spec_from_file_location("refresh_models", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wheel(files: dict[str, str]) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(io.BytesIO(), "w")
    for path, text in files.items():
        archive.writestr(path, text)
    return archive


def test_file_is_what_the_script_renders(script: Any) -> None:
    """Also shows that the file was not edited by hand, as far as that can be seen offline."""
    sets = [{key: set(names) for key, names in table.items()} for table in (MODELS, PREFIXES)]
    rendered = script.render(script.Public(sets[0], sets[1], {}))
    assert rendered.partition("\nMODELS")[2] == TEXT.partition("\nMODELS")[2]


def test_table_of_sources_names_versions_and_known_readers(script: Any) -> None:
    sources = list(script.sources())
    assert {source.vendor for source in sources} - {"*"} <= STACK_VENDORS
    assert {source.reader for source in sources} == script.READERS.keys()
    assert [s for s in sources if not re.fullmatch(r"[0-9]+(\.[0-9]+)+", s.version)] == []


READ = [
    ("literals", 'Model = Union[str, Literal["a", "b"]]\nOther = Literal["c"]', "Model", "ab"),
    ("literals", 'class P:\n    model: Optional[t.Literal["a"]] = None', "model", "a"),
    ("literals", 'def f(self, model: Literal["a"]): ...', "model", "a"),
    ("literals", 'model = "a"', "model", ""),
    ("enum", 'class Model(Enum):\n    """b"""\n    A = "a"', "Model", "a"),
    ("keys", 'NAMES = {"a": "b"}', "NAMES", "a"),
    ("pattern", 'x = "stt-1"', '"stt-([0-9])"', "1"),
    ("catalogue", 'x = [Provider(id="p", models=[ModelInfo(id="o/a")])]', "p", "a"),
    ("catalogue", 'x = [Provider(id="q", models=[ModelInfo(id="a")])]', "p", ""),
    (
        "prices",
        json.dumps(
            {
                "g/o/a": {"litellm_provider": "g", "mode": "chat", "input_cost_per_token": 0},
                "b": {"litellm_provider": "g", "mode": "chat", "cost_per_session": 1},
                "c": {"litellm_provider": "g", "mode": "embedding", "input_cost_per_token": 1},
                "d": {"litellm_provider": "h", "mode": "chat", "input_cost_per_token": 1},
            }
        ),
        "g",
        "a",
    ),
]


@pytest.mark.parametrize(("reader", "text", "what", "names"), READ)
def test_reader(script: Any, reader: str, text: str, what: str, names: str) -> None:
    assert sorted(script.READERS[reader](text, what)) == list(names)


def test_what_is_no_public_name_is_left_out(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table = "pkg 1.0\n  groq literals pkg/*.py Model\n  * literals pkg/all.py Models"
    monkeypatch.setattr(script, "SOURCES", table)
    names = ["ft:gpt-4o:acme", "x" * 37, "custom", "other", "org/", "a b", "Llama_4-20250101"]
    files = {
        "pkg/m.py": f"Model = Literal[{[*names, 'meta-llama/llama-5']!r}]",
        "pkg/deeper/m.py": 'Model = Literal["unseen"]',
        "pkg/all.py": 'Model = Literal["x"]\nModels = Literal["auto", "acme/m", "lmnt/m"]',
    }
    found = script.collect({("pkg", "1.0"): wheel(files)}, stack)
    assert {vendor: names for vendor, names in found.models.items() if names} == {
        "groq": {"llama-4", "llama-5", "x"},
        "lmnt": {"m"},
    }
    assert found.prefixes == {"groq": {"meta-llama"}}
    text = script.render(found)
    assert "- groq: pkg 1.0\n" in text
    assert "- rime: no public source: every model is `other`\n" in text
    compile(text, "_models.py", "exec")


def test_source_without_names_is_an_error(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "SOURCES", "pkg 1.0\n  groq literals pkg/m.py Model")
    with pytest.raises(ValueError, match="layout"):
        script.collect({("pkg", "1.0"): wheel({"pkg/m.py": ""})}, stack)


def test_script_loads_the_client_even_before_there_are_lists(
    script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setitem(sys.modules, "getpatter.telemetry._models", None)
    monkeypatch.delitem(sys.modules, "getpatter.telemetry.stack")
    assert script.load_stack().normalise_model("GPT_4o") == "gpt-4o"

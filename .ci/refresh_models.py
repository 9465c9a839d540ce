"""Writes getpatter/telemetry/_models.py: the publicly known model names, from packages on PyPI.

The wheels are downloaded and read, never installed or imported. What is public is what a source
below says, by one rule per kind of source; no name is picked by hand. To refresh, raise versions
in the table, run, and read the diff. A source that says nothing any more is an error.

    python .ci/refresh_models.py           write
    python .ci/refresh_models.py --check   exit 1 and show the difference; writes nothing
"""

from __future__ import annotations

import ast
import difflib
import fnmatch
import importlib
import json
import re
import subprocess
import sys
import tempfile
import textwrap
import types
import venv
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / "getpatter" / "telemetry" / "_models.py"


# A line that begins at the margin is a package on PyPI and its version; a second, older version
# adds the names that were dropped since. Below it: vendor (`*` for names like `vendor/model`),
# reader (the functions below say what its last word means), file in the wheel, last word.
SOURCES = r"""
openai 3.54.0
    openai        literals   openai/types/shared/chat_model.py            ChatModel
    openai        literals   openai/types/shared/all_models.py            AllModels
    openai        literals   openai/types/audio_model.py                  AudioModel
    openai        literals   openai/types/audio/speech_model.py           SpeechModel
    openai        literals   openai/types/realtime/*.py                   model
    openai        literals   openai/types/live/*.py                       model
    whisper       literals   openai/types/audio_model.py                  AudioModel
anthropic 2.12.0
    anthropic     literals   anthropic/types/model.py                     Model
google-genai 3.4.0
    google        literals   google/genai/_gaos/types/interactions/model.py  Model
    # The examples of its docstrings, for the prefix that the API puts before every name.
    google        pattern    google/genai/live.py                         '(models/gemini-[\w.-]+)'
groq 1.7.0
    groq          literals   groq/types/chat/completion_create_params.py  model
    groq          literals   groq/types/audio/*_create_params.py          model
deepgram-sdk 7.17.0
    deepgram      literals   deepgram/types/listen_v?model.py             ListenV[12]Model
    deepgram      literals   deepgram/types/speak_v?model.py              SpeakV[12]Model
    deepgram      literals   deepgram/types/deepgram_think_provider_model.py  Deepgram.*Model
elevenlabs 2.78.0
    elevenlabs    literals   elevenlabs/types/tts_conversational_model.py  TtsConversationalModel
    elevenlabs    literals   elevenlabs/types/realtime_model.py           RealtimeModel
    elevenlabs    literals   elevenlabs/types/text_to_speech_generation_request.py  model_id
    elevenlabs    literals   elevenlabs/v_1_*_realtime/types/*_model_id.py  .*ModelId
cartesia 4.2.0
    cartesia      literals   cartesia/types/tts_model.py                  _TTSModel
    cartesia      literals   cartesia/types/stt_batch_model.py            _STTBatchModel
    cartesia      literals   cartesia/types/stt/*_model.py                _STT.*Model
assemblyai 1.8.2
    assemblyai    enum       assemblyai/types.py                          (Sync)?SpeechModel
    assemblyai    enum       assemblyai/streaming/v3/models.py            SpeechModel
speechmatics-rt 1.2.1
    speechmatics  enum       speechmatics/rt/_models.py                   Model
speechmatics-batch 1.1.0
    speechmatics  enum       speechmatics/batch/_models.py                Model
speechmatics-agent-stt 0.3.0
    speechmatics  enum       speechmatics/agent_stt/_models.py            Model
soniox 2.10.0
    soniox        pattern    soniox/api/*.py                      "((?:stt|tts)-[a-z]+-v\d+)"
lmnt 2.13.0
    lmnt          literals   lmnt/types/*.py                              model
telnyx 4.189.0
    telnyx        literals   telnyx/types/ai/audio_*_params.py            model
    telnyx        literals   telnyx/types/ai/transcription_settings.py    model
    telnyx        literals   telnyx/types/calls/transcription_*_param.py  (transcription_)?model
    telnyx        literals   telnyx/types/speech_to_text_*_params.py      model
    telnyx        literals   telnyx/types/text_to_speech_*_params.py      model_id
    telnyx        literals   telnyx/types/voice_clone_*_params.py         model_id
    # Its own TTS models stand only in the docstrings, in the names of voices.
    telnyx        pattern    telnyx/resources/text_to_speech.py           `telnyx\.([A-Z]\w+)\.\w+`
faster-whisper 1.2.1
    whisper       keys       faster_whisper/utils.py                      _MODELS

# Voice frameworks: the models of vendors that publish no list, or not all in it.
livekit-agents 1.8.9
    *             literals   livekit/agents/inference/llm.py              .*Models
    *             literals   livekit/agents/inference/stt.py              .*Models
    *             literals   livekit/agents/inference/tts.py              .*Models
    *             literals   livekit/agents/inference/_realtime_models.py  .*Models
livekit-plugins-assemblyai 1.8.9
    assemblyai    literals   livekit/plugins/assemblyai/stt.py            model
livekit-plugins-cartesia 1.8.9
    cartesia      literals   livekit/plugins/cartesia/models.py           (TTS|STT)Models
livekit-plugins-cerebras 1.8.9 1.5.18
    cerebras      literals   livekit/plugins/cerebras/models.py           CerebrasChatModels
livekit-plugins-deepgram 1.8.9
    deepgram      literals   livekit/plugins/deepgram/models.py           .*Models
livekit-plugins-elevenlabs 1.8.9
    elevenlabs    literals   livekit/plugins/elevenlabs/models.py         TTSModels
    elevenlabs    literals   livekit/plugins/elevenlabs/stt.py            ElevenLabsSTTModels
livekit-plugins-google 1.8.9 1.2.18
    google        literals   livekit/plugins/google/models.py             .*Models(V2)?
    google        literals   livekit/plugins/google/realtime/api_proto.py  LiveAPIModels
livekit-plugins-groq 1.8.9 1.2.18
    groq          literals   livekit/plugins/groq/models.py               .*Models
livekit-plugins-inworld 1.8.9
    inworld       literals   livekit/plugins/inworld/tts.py               TTSModels
livekit-plugins-lmnt 1.8.9
    lmnt          literals   livekit/plugins/lmnt/models.py               LMNTModels
livekit-plugins-rime 1.8.9 1.5.18
    rime          literals   livekit/plugins/rime/models.py               TTSModels
livekit-plugins-soniox 1.8.9
    soniox        pattern    livekit/plugins/soniox/*.py          "((?:stt|tts)-[a-z]+-v\d[\w-]*)"

# Prices, for what all those leave out; tokencost still has the models of 2023 to 2025.
litellm 1.109.1
    openai        prices     litellm/model_prices_*.json    openai
    anthropic     prices     litellm/model_prices_*.json    anthropic
    google        prices     litellm/model_prices_*.json    gemini|vertex_ai-language-models
    groq          prices     litellm/model_prices_*.json    groq
    cerebras      prices     litellm/model_prices_*.json    cerebras
    elevenlabs    prices     litellm/model_prices_*.json    elevenlabs
    soniox        prices     litellm/model_prices_*.json    soniox
tokencost 0.1.26
    openai        prices     tokencost/model_prices.json    openai
    anthropic     prices     tokencost/model_prices.json    anthropic
    google        prices     tokencost/model_prices.json    gemini|vertex_ai-language-models
    groq          prices     tokencost/model_prices.json    groq
    cerebras      prices     tokencost/model_prices.json    cerebras
genai-prices 0.2.3
    anthropic     catalogue  genai_prices/data.py                         anthropic
    groq          catalogue  genai_prices/data.py                         groq
    cerebras      catalogue  genai_prices/data.py                         cerebras
"""

RULE = """\
A name is in the list of a vendor if a source below has it as one of the vendor's models: the
types and enumerations of model names in the vendor's own package or in a voice framework, and
from price data what is priced as chat, realtime or audio model. Of a path only the last part
counts; the part before it is in PREFIXES. Left out, whatever the source: what does not match
[a-z0-9][a-z0-9.-]{0,40} with the vendor in front (a fine-tune's `ft:` does not), and the
place-holders `custom` and `other`.
"""

# What a voice layer can run on; the rest of the price lists is images, video, embeddings, search.
VOICE_MODES = {"chat", "responses", "realtime", "audio_speech", "audio_transcription"}

TOKEN = re.compile(r"[a-z0-9][a-z0-9.-]{0,40}")
PLACE_HOLDERS = {"", "custom", "other"}

Names = dict[str, set[str]]
Wheels = dict[tuple[str, str], zipfile.ZipFile]


class Source(NamedTuple):
    """A line of the table, for one version of the package."""

    package: str
    version: str
    vendor: str
    reader: str
    path: str
    what: str


class Public(NamedTuple):
    """What the sources publish, by vendor."""

    models: Names
    prefixes: Names
    origins: dict[str, dict[str, None]]  # the packages, in the order of the table


def literals(text: str, what: str) -> Iterator[str]:
    """Yield the strings of every Literal that a name matching `what` is, or is annotated with."""
    for name, values in _assignments(ast.parse(text)):
        if re.fullmatch(what, name):
            for value in values:
                for node in ast.walk(value):
                    if isinstance(node, ast.Subscript) and "Literal" in ast.unparse(node.value):
                        yield from _strings(node.slice)


def enum(text: str, what: str) -> Iterator[str]:
    """Yield the values of every enumeration whose name matches `what`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and re.fullmatch(what, node.name):
            for member in node.body:
                if isinstance(member, ast.Assign):
                    yield from _strings(member.value)


def keys(text: str, what: str) -> Iterator[str]:
    """Yield the keys of the dict that is assigned to the name `what`."""
    for name, values in _assignments(ast.parse(text)):
        if name == what:
            for value in values:
                if isinstance(value, ast.Dict):
                    yield from (text for key in value.keys if key for text in _strings(key))


def pattern(text: str, what: str) -> Iterator[str]:
    """Yield the one group of every match of the regular expression `what`."""
    yield from re.findall(what, text)


def prices(text: str, what: str) -> Iterator[str]:
    """Yield the models of providers matching `what` that are for voice and have a price."""
    for key, entry in json.loads(text).items():
        provider = entry.get("litellm_provider", "")
        priced = any(field.startswith("input_cost_per_") for field in entry)
        if re.fullmatch(what, provider) and entry.get("mode") in VOICE_MODES and priced:
            yield key.rpartition("/")[2]  # the path is litellm's routing, no public prefix


def catalogue(text: str, what: str) -> Iterator[str]:
    """Yield the ids of the models of the provider with the id `what`."""
    for provider in _calls(ast.parse(text), "Provider"):
        if list(_strings(provider["id"])) == [what]:
            for model in _calls(provider["models"], "ModelInfo"):
                for name in _strings(model["id"]):
                    yield name.rpartition("/")[2]


READERS = {
    "literals": literals,
    "enum": enum,
    "keys": keys,
    "pattern": pattern,
    "prices": prices,
    "catalogue": catalogue,
}


def _assignments(tree: ast.AST) -> Iterator[tuple[str, list[ast.expr]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, [node.value]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, [node.annotation, *([node.value] if node.value else [])]
        elif isinstance(node, ast.arg) and node.annotation:
            yield node.arg, [node.annotation]


def _strings(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value


def _calls(node: ast.AST, function: str) -> Iterator[dict[str, ast.expr]]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and ast.unparse(inner.func) == function:
            yield {keyword.arg: keyword.value for keyword in inner.keywords if keyword.arg}


def sources() -> Iterator[Source]:
    """Yield one source for each line of the table and each version of its package."""
    package, versions = "", []
    for line in SOURCES.splitlines():
        words = line.split()
        if not words or words[0] == "#":
            continue
        if line[0] != " ":
            package, *versions = words
            continue
        for version in versions:
            yield Source(package, version, *words)


def download(packages: Iterable[tuple[str, str]], folder: Path) -> Wheels:
    """Return the wheel of every package and version, downloaded into `folder`."""
    venv.create(folder / "venv", with_pip=True)  # the Python that runs this may have no pip
    python = next(folder.glob("venv/[bS]*/python*"))  # bin, on Windows Scripts
    wheels = {}
    for package, version in packages:
        place = folder / f"{package}-{version}"
        command = [
            *(str(python), "-m", "pip", "download", "-qq", "--disable-pip-version-check"),
            *("--no-deps", "--dest", str(place), f"{package}=={version}"),
            # The same wheel wherever this runs, also of a package with compiled parts.
            *("--only-binary=:all:", "--platform", "manylinux_2_28_x86_64"),
            *("--implementation", "cp", "--python-version", "3.12", "--abi", "abi3"),
        ]
        subprocess.run(command, check=True)
        wheels[package, version] = zipfile.ZipFile(next(place.glob("*.whl")))
    return wheels


def published(source: Source, wheel: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    """Yield vendor and name as the source has them; an error if it has none."""
    vendor, found = source.vendor, False
    for path in sorted(wheel.namelist()):
        if path.count("/") != source.path.count("/") or not fnmatch.fnmatchcase(path, source.path):
            continue
        for name in READERS[source.reader](wheel.read(path).decode(), source.what):
            found = True
            if source.vendor == "*":
                vendor, slash, name = name.partition("/")  # noqa: PLW2901 - "deepgram/nova-3"
                if not slash:
                    continue
            yield vendor, name
    if not found:
        message = f"{' '.join(source)}: no names; has the package changed its layout?"
        raise ValueError(message)


def collect(wheels: Wheels, stack: types.ModuleType) -> Public:
    """Return what the wheels publish, with names as the client's module `stack` spells them."""
    found = Public({vendor: set() for vendor in sorted(stack.STACK_VENDORS)}, {}, {})
    for source in sources():
        for vendor, raw in published(source, wheels[source.package, source.version]):
            prefix, _, name = stack.normalise_model(raw).rpartition("/")
            if vendor not in found.models or name in PLACE_HOLDERS:
                continue
            if not TOKEN.fullmatch(f"{vendor}-{name}"):
                continue
            found.models[vendor].add(name)
            found.origins.setdefault(vendor, {})[f"{source.package} {source.version}"] = None
            if prefix and prefix != vendor:
                found.prefixes.setdefault(vendor, set()).add(prefix)
    return found


def load_stack() -> types.ModuleType:
    """Return the client's own module, so that both sides normalise alike.

    It imports what is about to be generated; a stand-in lets it load when that is missing.
    """
    stand_in: Any = types.ModuleType("getpatter.telemetry._models")
    stand_in.MODELS = stand_in.PREFIXES = {}
    sys.modules[stand_in.__name__] = stand_in
    sys.path.insert(0, str(ROOT))
    return importlib.import_module("getpatter.telemetry.stack")


def render(public: Public) -> str:
    """Return the text of the generated module, as the formatter would write it."""
    lines = [
        "# Generated by .ci/refresh_models.py from packages on PyPI. Do not edit.",
        '"""The publicly known model names of each vendor. Imports nothing.',
        "",
        *RULE.splitlines(),
        "",
        "Sources, by vendor:",
        "",
        *(line for vendor in public.models for line in _origins(vendor, public.origins)),
        '"""',
        "",
        *_table("MODELS", public.models),
        "",
        "# What publicly stands before a name of the vendor, as in `meta-llama/llama-4-...`.",
        *_table("PREFIXES", public.prefixes),
    ]
    return "\n".join(lines) + "\n"


def _origins(vendor: str, origins: dict[str, dict[str, None]]) -> list[str]:
    text = ", ".join(origins.get(vendor, ())) or "no public source: every model is `other`"
    wrapper = textwrap.TextWrapper(96, "- ", "  ", break_on_hyphens=False)
    return wrapper.wrap(f"{vendor}: {text}")


def _table(name: str, sets: Names) -> Iterator[str]:
    yield f"{name}: dict[str, frozenset[str]] = {{"
    for vendor, names in sorted(sets.items()):
        if not names:
            yield f'    "{vendor}": frozenset(),'
            continue
        yield f'    "{vendor}": frozenset('
        yield "        {"
        yield from (f'            "{name}",' for name in sorted(names))
        yield "        }"
        yield "    ),"
    yield "}"


def main(arguments: list[str]) -> int:
    """Write the module, or with `--check` say how it differs."""
    if arguments not in ([], ["--check"]):
        print("usage: refresh_models.py [--check]", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        packages = dict.fromkeys((source.package, source.version) for source in sources())
        text = render(collect(download(packages, Path(folder)), load_stack()))
    if not arguments:
        OUTPUT.write_text(text, encoding="ascii", newline="\n")
        return 0
    before = OUTPUT.read_text(encoding="ascii") if OUTPUT.exists() else ""
    name = str(OUTPUT.relative_to(ROOT))
    difference = difflib.unified_diff(
        before.split("\n"), text.split("\n"), name, "sources", lineterm=""
    )
    for line in difference:
        print(line)
    return int(text != before)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

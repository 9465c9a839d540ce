"""What the documents say is so: names, links, examples; and what there is, they say."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from senders import CATCH_UP

from getpatter.integrations import frameworks
from getpatter.telemetry import _tables, notice, testing
from getpatter.telemetry.consent import misspelt_opt_outs
from getpatter.telemetry.losses import REASONS
from getpatter.telemetry.testing import Receiver

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "telemetry.mdx"
COLLECTOR = ROOT / "docs" / "collector.mdx"
FEATURES = ROOT / "docs" / "features.md"
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md*"), ROOT / "schemas" / "README.md"]
)
CODE = sorted((ROOT / "getpatter").rglob("*.py"))
TEXT_FILES = {"", ".json", ".md", ".mdx", ".py", ".toml", ".txt", ".yml", ".yaml", ".cfg", ".sh"}

# The configuration of the library, so that its examples construct. Invented.
CREDENTIALS = {
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "0" * 32,
    "OPENAI_API_KEY": "sk-invented",
}


class Block(NamedTuple):
    """A fenced block: where it begins, its language and its text."""

    place: str
    language: str
    text: str


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def read(path: Path) -> str:
    return path.read_text("utf-8")


def blocks_of(path: Path) -> list[Block]:
    found = []
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", read(path), re.MULTILINE | re.DOTALL):
        line = read(path).count("\n", 0, match.start()) + 1
        found.append(Block(f"{name_of(path)}:{line}", match[1], match[2]))
    return found


def blocks(*languages: str) -> list[Block]:
    found = [block for path in DOCUMENTS for block in blocks_of(path)]
    return [block for block in found if block.language in languages]


def prose_of(path: Path) -> str:
    """The text without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", read(path), flags=re.MULTILINE | re.DOTALL)


def words_in_code(path: Path) -> set[str]:
    """Every word that stands in backticks or in a fenced block."""
    spans = re.findall(r"`([^`\n]+)`", prose_of(path)) + [block.text for block in blocks_of(path)]
    return {word for span in spans for word in re.findall(r"[\w.-]+", span)}


# variables

# In capitals and no variable of the environment: argument names of the command line, HTTP
# methods, attributes of `os`.
NO_VARIABLES = {"ACTION", "COMMAND", "EVENT", "FILE", "VERSION", "DELETE", "HEAD", "POST"}
# And of call diagnostics: how events are delivered, OpenTelemetry's severities.
NO_VARIABLES |= {"ID", "N", "OUT", "WHEN", "BATCH", "IN_PLACE", "INFO", "WARN"}
# And the algorithm of a token.
NO_VARIABLES |= {"HS256"}
NO_VARIABLES |= {name for name in dir(os) if name.startswith("O_")}
# Set for the child processes of a test, and documented with the fixture's `environment`.
SET_ONLY = {"LOCALAPPDATA", "NO_PROXY", "PYTHONUSERBASE", "USERPROFILE"}
# Examples of names that there are not, and that count as an opt-out all the same.
EXAMPLES = {"PATTER_TELEMTRY": "0", "PATTER_NO_TELEMETRY": "1"}
EXAMPLES |= {"PATER_TELEMETRY": "0", "DO_NOT_TRAK": "1"}
MISSPELT = {name for name, _ in misspelt_opt_outs(EXAMPLES)}


def test_the_install_id_is_spelt_in_one_way() -> None:
    """In what people read: the documents, and the texts of the package. Fields are `install_id`."""
    found = [name_of(path) for path in DOCUMENTS if re.search(r"\binstall ids?\b", read(path))]
    for path in CODE:
        texts = [
            node.value
            for node in ast.walk(ast.parse(read(path)))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        if any(re.search(r"\binstall ids?\b", text) for text in texts):
            found.append(name_of(path))
    assert found == []


def variables_of_the_code() -> dict[str, str]:
    """Every string in capitals in the package, but names that the code itself defines."""
    found = {}
    for path in CODE:
        if {"demo", "collector", "integrations"} & set(path.relative_to(ROOT).parts):
            continue  # they set variables for programs, speak SQL or to a framework, and read none
        tree = ast.parse(read(path))
        own = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        own |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
                for alias in node.names}  # fmt: skip
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                name = node.value
                if re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*", name) and name not in own:
                    found[name] = name_of(path)
    return {name: path for name, path in found.items() if name not in NO_VARIABLES | SET_ONLY}


def test_the_variables_of_the_code_are_found() -> None:
    """Or the next test would hold nothing."""
    found = variables_of_the_code()
    for name in ("DO_NOT_TRACK", "PATTER_TELEMETRY", "GITHUB_ACTIONS", "UV", "OPENAI_API_KEY"):
        assert name in found


def test_every_variable_that_the_code_reads_is_documented() -> None:
    documented = words_in_code(PAGE)
    assert {n: p for n, p in variables_of_the_code().items() if n not in documented} == {}


def test_every_variable_that_is_documented_is_read() -> None:
    known = {*variables_of_the_code(), *SET_ONLY, *MISSPELT}
    for path in DOCUMENTS:
        named = set(re.findall(r"\b(?:PATTER_[A-Z_]*[A-Z]|DO_NOT_TRACK)\b", read(path)))
        assert named <= known, name_of(path)
    table = read(PAGE).partition("### What else is looked at")[2].partition("###")[0]
    assert set(re.findall(r"`([A-Z][A-Z0-9_]+)`", table)) <= known


# the reader's questions

QUESTIONS = [
    "Why",
    "What exactly",
    "What never",
    "When",
    "Where to",
    "Who sees it",
    "How long",
    "See it yourself",
    "Turn it off",
    "For maintainers",
]


def test_the_page_answers_every_question_in_order() -> None:
    sections = re.findall(r"^## (.*)\n+(.*)$", prose_of(PAGE), re.MULTILINE)
    answered = [heading for heading, answer in sections if answer and not answer.startswith("#")]
    assert [heading for heading in answered if heading in QUESTIONS] == QUESTIONS


# events, fields, reasons, exit codes


def test_every_event_and_field_is_documented() -> None:
    documented = words_in_code(PAGE)
    names = {*_tables.EVENT_NAMES, *_tables.COMMON_FIELDS}.union(*_tables.DIMENSIONS.values())
    assert names <= documented
    for event in _tables.EVENT_NAMES:
        assert f"### `{event}`" in read(PAGE)


def test_every_file_of_the_state_is_documented() -> None:
    telemetry = ROOT / "getpatter" / "telemetry"
    names = {
        node.value.value
        for name in ("state.py", "places.py")
        for node in ast.parse(read(telemetry / name)).body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }
    assert {"install-id", "telemetry-disabled"} <= names
    assert names <= words_in_code(PAGE)


def exit_codes_of_the_code() -> set[int]:
    """The whole numbers that functions of the commands return or fail with."""
    places = [ROOT / "getpatter" / "cli.py", *(ROOT / "getpatter/telemetry/commands").glob("*.py")]
    found = set()
    for path in places:
        for node in ast.walk(ast.parse(read(path))):
            is_failure = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Failure"
            if isinstance(node, ast.Return) or is_failure:
                found |= {
                    inner.value
                    for inner in ast.walk(node)
                    if isinstance(inner, ast.Constant) and type(inner.value) is int
                }
    return found


def test_every_exit_code_is_documented_and_no_other() -> None:
    table = read(PAGE).partition("| exit code |")[2].partition("\n\n")[0]
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert documented == exit_codes_of_the_code()


# commands


def getpatter(*arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {"HOME": os.devnull, "PATH": os.environ["PATH"], "COLUMNS": "200"}
    command = [sys.executable, "-m", "getpatter", *arguments]
    return subprocess.run(
        command, check=False, env=environ, capture_output=True, text=True, timeout=30
    )


@cache
def actions(*command: str) -> dict[str, str]:
    """The actions of a command, as its help lists them, and the help of each."""
    result = getpatter(*command, "--help")
    assert result.returncode == 0, result.stderr
    names = re.findall(r"^    ([a-z]+)(?:\s|$)", result.stdout, re.MULTILINE)
    helps = {name: getpatter(*command, name, "--help") for name in names}
    assert {found.returncode for found in helps.values()} == {0}
    return {name: found.stdout for name, found in helps.items()}


def test_every_command_is_documented() -> None:
    assert {"status", "disable", "enable"} <= set(actions("telemetry"))
    groups = ("telemetry", "calls")
    commands = [f"{group} {name}" for group in groups for name in actions(group)]
    commands += [name for name in actions() if name not in groups]
    operation = [f"collector {name}" for name in actions("collector")]
    for path, named in ((PAGE, commands), (FEATURES, commands), (COLLECTOR, operation)):
        missing = [name for name in named if f"getpatter {name}" not in read(path)]
        assert missing == [], name_of(path)


def commands_in(text: str) -> set[str]:
    """Each `getpatter …` command that stands there, up to what ends it."""
    found = re.findall(r"(?<![\w./-])getpatter((?: [\w.-]+)+)", text)
    return {command.strip() for command in found}


def documented_commands() -> dict[str, str]:
    """Every command in code of a document or in the notice → where."""
    found: dict[str, str] = {}
    for path in DOCUMENTS:
        spans = re.findall(r"`([^`\n]+)`", prose_of(path))
        shell = [block.text for block in blocks_of(path) if block.language in {"bash", "sh"}]
        lines = [line.partition("#")[0] for text in shell for line in text.splitlines()]
        for text in (*spans, *lines):
            if not text.startswith("from ") and "import" not in text:
                found |= dict.fromkeys(commands_in(text), name_of(path))
    for span in re.findall(r"`([^`\n]+)`", notice.TEXT):
        found |= dict.fromkeys(commands_in(span), "the notice")
    return found


def test_every_documented_command_exists() -> None:
    commands = documented_commands()
    assert "telemetry disable" in commands
    top = actions()
    for command, where in commands.items():
        first, *rest = command.split()
        assert first in top, f"getpatter {command} in {where}"
        text = top[first]
        if rest and first in {"telemetry", "calls", "collector"} and not rest[0].startswith("-"):
            assert rest[0] in actions(first), f"getpatter {command} in {where}"
            text = actions(first)[rest[0]]
        for word in rest:
            if word.startswith("--"):
                assert word in text, f"getpatter {command} in {where}"
        result = getpatter(*command.split(), "--help")
        assert result.returncode == 0, f"getpatter {command} in {where}: {result.stderr}"


def test_what_the_notice_names_exists() -> None:
    assert commands_in(notice.TEXT) >= {"telemetry disable"}
    assert len(notice.TEXT.splitlines()) == 3
    variables = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", notice.TEXT))
    assert "DO_NOT_TRACK" in variables
    assert variables <= set(variables_of_the_code())


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", read(ROOT / "Makefile"), re.MULTILINE))
    for path in DOCUMENTS:
        spans = re.findall(r"`make ([a-z -]+)`", prose_of(path))
        lines = [re.match(r"make ([a-z -]+?)\s*(?:#|$)", line)
                 for block in blocks_of(path) for line in block.text.splitlines()]  # fmt: skip
        named = {word for span in spans for word in span.split()}
        named |= {word for line in lines if line for word in line[1].split()}
        assert named <= targets, name_of(path)


# links


def slug(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    return {slug(line) for line in re.findall(r"^#+ (.*)$", prose_of(path), re.MULTILINE)}


def links() -> list[tuple[str, str]]:
    """(document, target) of every link in prose, over the end of a line too."""
    return [
        (name_of(path), target)
        for path in DOCUMENTS
        for target in re.findall(r"\[[^\]]+\]\(([^)\s]+)\)", prose_of(path))
    ]


def test_there_are_links() -> None:
    assert len(links()) > 50


def test_every_link_resolves() -> None:
    broken = []
    for document, target in links():
        if re.match(r"https://", target):
            continue  # no test depends on the network
        file, _, anchor = target.partition("#")
        path = (ROOT / document).parent / file if file else ROOT / document
        if not path.exists() or (anchor and anchor not in anchors(path.resolve())):
            broken.append(f"{document}: {target}")
    assert broken == []


def test_a_heading_that_does_not_exist_would_be_noticed() -> None:
    assert slug("### `call_started`") == "-call_started"
    assert "where-to" in anchors(PAGE)
    assert "nowhere" not in anchors(PAGE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_path_that_is_named_exists(document: Path) -> None:
    named = re.findall(r"`((?:tests|schemas|getpatter|docs|examples|benchmarks|\.ci)/[^`\s]*)`",
                       prose_of(document))  # fmt: skip
    missing = [path for path in named if not (ROOT / path.partition("::")[0]).exists()]
    assert missing == []


# features


def rows() -> list[list[str]]:
    found = [line for line in read(FEATURES).splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in found]
    return [row for row in cells if row[0] not in {"feature", "---"}]


def test_every_feature_says_since_when_where_documented_and_which_test() -> None:
    assert len(rows()) > 30
    version = importlib.metadata.version("getpatter")
    for what, since, documented, test in rows():
        assert what
        assert since == "earlier" or f"{version}.".startswith(f"{since}."), what
        assert re.fullmatch(r"\[[^\]]+\]\([^)]+#[^)]+\)", documented), what
        assert re.fullmatch(r"`tests/[\w/]+\.py(::test_\w+)?`", test), what


def test_the_test_of_a_feature_exists() -> None:
    for what, _, _, test in rows():
        path, _, function = test.strip("`").partition("::")
        assert (ROOT / path).is_file(), what
        assert f"def {function or 'test_'}" in read(ROOT / path), what


def test_every_setting_and_everything_for_tests_is_a_feature() -> None:
    table = read(PAGE).partition("## Settings")[2].partition("###")[0]
    settings = set(re.findall(r"^\| `([A-Z_]+)`", table, re.MULTILINE))
    assert "PATTER_TELEMETRY_STATE_DIR" in settings
    assert settings <= words_in_code(FEATURES)
    assert set(testing.__all__) <= words_in_code(FEATURES)


def test_every_event_is_a_feature() -> None:
    assert set(_tables.EVENT_NAMES) <= words_in_code(FEATURES)


# examples


def is_test(block: Block) -> bool:
    return "def test_" in block.text


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A user's: neither CI nor a test run."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return {"HOME": str(home), "PATH": os.environ["PATH"], **CREDENTIALS}


#: What observes a framework runs in the framework's own environment: `make integrations`.
FRAMEWORKS = re.compile(
    rf"getpatter\.integrations\.({'|'.join(each.extra for each in frameworks.FRAMEWORKS)})\b"
)
PYTHON = [block for block in blocks("python", "py") if not FRAMEWORKS.search(block.text)]


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.place)
def test_every_python_example_runs(
    block: Block, environ: dict[str, str], tmp_path: Path, receiver: Receiver
) -> None:
    (tmp_path / "test_example.py").write_text(block.text, "utf-8")
    command = [sys.executable, "-W", "error"]
    if is_test(block):
        command += ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
    result = subprocess.run(
        [*command, "test_example.py"],
        check=False,
        env=environ | {"PATTER_TELEMETRY_ENDPOINT": receiver.endpoint},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert receiver.refused == []
    if is_test(block):
        assert f"{block.text.count('def test_')} passed" in result.stdout


def test_there_are_python_examples() -> None:
    assert len(PYTHON) >= 6
    assert any(is_test(block) for block in PYTHON)


def first_example() -> Block:
    return next(block for block in blocks_of(ROOT / "README.md") if block.language == "python")


def test_the_first_block_of_the_readme_installs() -> None:
    first, *_ = blocks_of(ROOT / "README.md")
    assert first.text == "python -m pip install .\n"


def test_the_first_example_needs_no_account_and_shows_something(
    environ: dict[str, str], tmp_path: Path, receiver: Receiver
) -> None:
    bare = {name: value for name, value in environ.items() if name not in CREDENTIALS}
    bare |= {"PATTER_TELEMETRY_ENDPOINT": receiver.endpoint}

    def shown(*command: str) -> str:
        return subprocess.run(
            [sys.executable, *command],
            check=True,
            env=bare,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
            timeout=60,
        ).stdout

    assert "stage.completed" in shown("-c", first_example().text)
    # The commands that stand below it.
    assert "completed" in shown("-m", "getpatter", "calls", "list", "calls.jsonl")
    assert "from the end of the caller's speech" in shown(
        "-m", "getpatter", "calls", "show", "calls.jsonl"
    )


def test_the_example_of_the_readme_says_what_the_text_promises(
    environ: dict[str, str], tmp_path: Path, receiver: Receiver
) -> None:
    """`However the call ends, exactly one call_completed is recorded`."""
    first = first_example()
    environ["PATTER_TELEMETRY_ENDPOINT"] = receiver.endpoint
    subprocess.run(
        [sys.executable, "-c", f"import requests\n{first.text}"],
        check=True,
        env=environ,
        cwd=tmp_path,
        timeout=30,
    )
    # What half a second was too short for on a busy machine, as the next start would.
    subprocess.run([sys.executable, "-c", CATCH_UP], check=True, env=environ, cwd=tmp_path)
    completed = [event for event in receiver.events if event["event"] == "call_completed"]
    assert len(completed) == 1
    assert completed[0]["disconnect_reason"] == "hangup_remote"
    assert {"stt_latency_ms", "llm_ttft_ms", "tts_first_byte_ms"} <= completed[0].keys()


def test_every_shell_example_is_a_command_that_is_known() -> None:
    for block in blocks("bash", "sh"):
        for line in block.text.splitlines():
            words = line.partition("#")[0].split()
            while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                words.pop(0)
            if words:
                assert words[0] in {"getpatter", "make", "export", "pip", "python"}, block.place


def test_every_block_says_its_language() -> None:
    """Or it would be no example of any kind, and nothing would run it."""
    allowed = {"python", "py", "bash", "sh", "json", "text"}
    for path in DOCUMENTS:
        for block in blocks_of(path):
            is_drawing = "─▶" in block.text
            assert block.language in allowed or is_drawing, block.place


# the changelog


def test_the_changelog_begins_with_what_is_unreleased() -> None:
    headings = re.findall(r"^## (.*)$", read(ROOT / "CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    for heading in headings[1:]:
        assert re.fullmatch(r"\[?\d+\.\d+\.\d+\]? - \d{4}-\d\d-\d\d", heading)


def test_the_changelog_names_the_schema_version_and_uses_the_usual_headings() -> None:
    text = read(ROOT / "CHANGELOG.md")
    assert f"Event schema: v{_tables.CONSTANTS['schema_version']}." in text
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= kinds


# the repository


def files() -> list[Path]:
    """What belongs to the repository: what git tracks, or would."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and path.suffix in TEXT_FILES]


# Where people and machines keep things; written so that this file does not match itself.
MACHINES = (
    r"/(?:ho[m]e|Us[e]rs)/(?!alice|canary)[A-Za-z]",  # these two are invented, by tests
    r"/ro[o]t/",
    r"/wo[r]k/",
    r"/t[m]p/[a-z]",
    r"/o[p]t/",
    r"[A-Z]:\\Us[e]rs",
    r"(?:extra-)?index[-_]ur[l]",
    r"find[-_]link[s]",
    r"trusted[-_]hos[t]",
    r"files\.pythonhoste[d]",
    r"artifactor[y]|nexu[s]\.|devp[i]",
)


def test_no_file_names_a_place_of_a_machine_or_a_registry() -> None:
    paths = files()
    assert Path(__file__) in paths
    found = [
        f"{name_of(path)}: {match[0]}"
        for path in paths
        for match in re.finditer("|".join(MACHINES), path.read_text("utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "text", ["/home" + "/someone", "/root" + "/.cache", "/work" + "/x", "--index" + "-url x"]
)
def test_a_place_of_a_machine_would_be_noticed(text: str) -> None:
    assert re.search("|".join(MACHINES), text)


def test_loss_reasons_are_named_where_maintainers_look() -> None:
    assert set(REASONS) <= words_in_code(PAGE)

"""Mutants: one thing is changed at a time, in a copy, and `parity.py` must notice each.

python schemas/mutants.py              all of mutants.txt; exit 1 if one is not noticed
python schemas/mutants.py --every 8    each eighth
python schemas/mutants.py --jobs 2     so many at once (default 2)
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import history
import node

ROOT = Path(__file__).resolve().parents[1]
NEWEST = max(history.versions(ROOT / "schemas"))
LIST = ROOT / "schemas" / "mutants.txt"
# What parity reads, and its tests.
COPIED = ("getpatter", "schemas", "docs", "tests", "CHANGELOG.md", "pyproject.toml")
# Many times what parity takes on a busy machine.
SECONDS = 600


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change; `generates`: with all that is generated from it."""

    path: str
    old: str
    new: str
    generates: bool

    @classmethod
    def parse(cls, line: str) -> Mutant:
        """Read a line of the list."""
        for name, number in {"v": NEWEST, "v-1": NEWEST - 1, "v+1": NEWEST + 1}.items():
            line = line.replace(f"{{{name}}}", f"{number}")
        path, old, new = (part.strip(" ").replace("\\n", "\n") for part in line.split("·"))
        return cls(path.removeprefix("+"), old, new, path.startswith("+"))

    def __str__(self) -> str:
        sign = "+" if self.generates else ""
        return f"{sign}{self.path}: {self.old!r} → {self.new!r}"


def mutants() -> list[Mutant]:
    """Return the list."""
    lines = LIST.read_text("utf-8").splitlines()
    return [Mutant.parse(line) for line in lines if line and not line.startswith("#")]


def copy(place: Path) -> None:
    """Copy what parity reads; the packages of Node are shared, as they are only read."""
    ignored = shutil.ignore_patterns("node_modules", "__pycache__", ".*_cache")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, place / name, ignore=ignored)
        else:
            shutil.copy(source, place / name)
    packages = Path("schemas", "node", "node_modules")
    (place / packages).symlink_to(ROOT / packages, target_is_directory=True)


def run(place: Path, *command: str) -> tuple[int, str]:
    """Run a script of the copy with the copy's package; return its exit code and output."""
    done = subprocess.run(
        [sys.executable, "-B", *command],
        check=False,
        cwd=place,
        # The package that is installed is the original; the copy's comes before it.
        env={**os.environ, "PYTHONPATH": str(place)},  # noqa: TID251 - a tool's own
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=SECONDS,
    )
    return done.returncode, done.stdout


def parity(place: Path) -> tuple[bool, str]:
    """Return whether parity holds in the copy, and the step that says no."""
    code, said = run(place, "schemas/parity.py", "--first")
    steps = [line.removeprefix("--> ") for line in said.splitlines() if line.startswith("--> ")]
    # A script that fails to start has no steps, and its last line says why.
    return code == 0, steps[-1] if steps else said.strip().rpartition("\n")[2]


def notices(mutant: Mutant) -> tuple[bool, str]:
    """Return whether parity notices the mutant, and in which step."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        copy(place)
        path = place / mutant.path
        text = path.read_text("utf-8")
        if mutant.old not in text:
            return False, "what shall be changed does not stand there"
        path.write_text(text.replace(mutant.old, mutant.new, 1), "utf-8")
        if mutant.generates:
            code, said = run(place, "schemas/generate.py")
            if code:
                return True, f"`make generate`: {said.strip().rpartition(chr(10))[2]}"
        holds, step = parity(place)
        return not holds, step


def main() -> int:
    """Try the mutants; print each with where it was noticed."""
    parser = argparse.ArgumentParser(description="Show that parity notices every mutant.")
    parser.add_argument("--every", type=int, default=1, help="only each so manieth")
    parser.add_argument("--jobs", type=int, default=2, help="so many at once")
    options = parser.parse_args()
    begun = time.monotonic()
    node.set_up()
    with tempfile.TemporaryDirectory() as name:
        copy(Path(name))
        holds, step = parity(Path(name))
        if not holds:
            print(f"parity does not hold without any change: {step}")
            return 1
    chosen = mutants()[:: options.every]
    survivors = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        for mutant, (is_noticed, where) in zip(chosen, pool.map(notices, chosen), strict=True):
            survivors += not is_noticed
            word = "noticed" if is_noticed else "SURVIVES"
            print(f"{word}  {mutant}\n         {where}", flush=True)
    seconds = time.monotonic() - begun
    print(f"==> {len(chosen)} mutants, {survivors} survive, {seconds:.0f} s")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())

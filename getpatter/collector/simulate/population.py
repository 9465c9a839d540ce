"""Draws installs: what each is, how often it runs, and which release it has when."""

from __future__ import annotations

from dataclasses import dataclass, field

from getpatter.collector.limits import DAY
from getpatter.collector.simulate.world import (
    BLOCKS,
    INSTALL,
    RELEASES,
    TRAITS,
    Chance,
    Release,
)

__all__ = ["Install", "draw_install", "hex_id"]

_LEGACY = {"legacy_v5": (5, "0.4.9"), "legacy_v7": (7, "0.6.1"), "legacy_v8": (8, "0.6.4")}
_CATEGORIES = tuple(name for name in BLOCKS if name != "retry")
# Which traits are drawn under another name where the library is the one in TypeScript.
_NODE = {"runtime_version": "node_version", "package_manager": "node_package_manager"}


@dataclass(slots=True)
class Install:
    """An install, and what the simulation knows of its past."""

    index: int
    id: str
    born: float  # seconds since the epoch; its first run, if that is not before the first day
    ends: float  # it does not run after that
    traits: dict[str, object]
    runs_a_day: float
    calls_a_run: float
    error: float  # how likely an answered call fails, at factor 1
    slowness: float
    missing: str | None  # what its first start lacks
    legacy: int | None = None  # schema version of a released client without keys
    is_throw_away: bool = False
    has_started: bool = False
    release: Release | None = None
    previous: str = ""
    upgrades: list[float] = field(default_factory=list)  # when it takes each release

    @property
    def is_node(self) -> bool:
        """Whether it uses the library in TypeScript."""
        return self.traits["sdk"] == "typescript"

    def take_release(self, now: float) -> None:
        """Take the newest release that it takes by `now`."""
        if self.legacy is not None:
            return
        newest = max(i for i, taken in enumerate(self.upgrades) if taken <= now)
        self.release = RELEASES[newest]

    @property
    def version(self) -> str:
        """The version of the library that it runs."""
        if self.legacy is not None:
            return next(text for version, text in _LEGACY.values() if version == self.legacy)
        return self.release.version if self.release else RELEASES[0].version


def hex_id(chance: Chance) -> str:
    """Return 32 hexadecimal digits."""
    return f"{chance.getrandbits(128):032x}"


def draw_install(chance: Chance, index: int, begin: int, end: int) -> Install:
    """Return an install that lives, or begins to, between two moments."""
    is_old = chance.random() < INSTALL["born_before"]
    born = begin - chance.random() * 90 * DAY if is_old else begin + chance.random() * (end - begin)
    lives = chance.expovariate(1 / (INSTALL["life_days"] * DAY))
    upgrades = [
        float("-inf")
        if one.out < 0
        # What is out when an install is born is what it installs.
        else _taken(chance, begin + one.out * (end - begin), born)
        for one in RELEASES
    ]
    made = Install(
        index=index,
        id=hex_id(chance),
        born=born,
        ends=max(born, begin) + lives,
        traits=_traits(chance),
        runs_a_day=chance.lognormvariate(0, INSTALL["runs_a_day_sigma"])
        * INSTALL["runs_a_day_median"],
        calls_a_run=chance.lognormvariate(0, INSTALL["calls_a_run_sigma"])
        * INSTALL["calls_a_run_median"],
        error=_error(chance),
        slowness=chance.lognormvariate(0, INSTALL["slowness_sigma"]),
        missing=None if is_old else _missing(chance),
        is_throw_away=not is_old and chance.random() < INSTALL["throw_away"],
        has_started=is_old,
        upgrades=upgrades,
    )
    made.legacy = _legacy(chance, made)
    return made


def _taken(chance: Chance, out: float, born: float) -> float:
    return out if born >= out else out + chance.expovariate(1 / (INSTALL["upgrade_days"] * DAY))


def _traits(chance: Chance) -> dict[str, object]:
    is_node = chance.random() < INSTALL["typescript"]
    traits: dict[str, object] = {
        name: TRAITS[_NODE.get(name, name) if is_node else name].draw(chance)
        for name in TRAITS
        if not name.startswith("node_")
    }
    traits["sdk"], traits["runtime"] = ("typescript", "node") if is_node else ("python", "cpython")
    return traits


def _error(chance: Chance) -> float:
    alpha = INSTALL["error_mean"] * INSTALL["error_spread"]
    return chance.betavariate(alpha, INSTALL["error_spread"] - alpha)


def _missing(chance: Chance) -> str | None:
    place = chance.random()
    for name in _CATEGORIES:
        place -= BLOCKS[name]["first"]
        if place < 0:
            return name
    return None


def _legacy(chance: Chance, install: Install) -> int | None:
    # What a released client states at rate 0 no schema takes.
    if install.is_node or install.traits["rate"] == 0:
        return None
    place = chance.random()
    for name, (version, _) in _LEGACY.items():
        place -= INSTALL[name]
        if place < 0:
            return version
    return None

"""Consent: whether telemetry is on, and which rule says so.

Pure but for the two edges at the end. The rules and their order are the contract's: the first
that says "off" decides, nothing says "on" but the absence of every "off".
"""

from getpatter.telemetry import env, unattended
from getpatter.telemetry._plain import is_one_slip_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from getpatter.telemetry._dotenv import Dotenv
    from getpatter.telemetry.places import Places

__all__ = [
    "Consent",
    "Rule",
    "decide",
    "has_refused",
    "is_enabled",
    "judge",
    "misspelt_opt_outs",
    "resolve",
]

# `PATTER_TELEMETRY` reads anything else as a no: an unclear opt-out is an opt-out.
_YES = frozenset({"", "1", "true", "yes", "on", "y", "t"})

# How much of the name of a variable is repeated, in characters.
_SHOWN = 60

# Values of a mistyped `PATTER_TELEMETRY` that say no, and what in the name of a variable turns its
# value round. The names that there are read anything unclear as a no; one that is only like them
# may mean something else.
_NO = frozenset({"0", "false", "no", "off", "n", "f", "never", "none", "disable", "disabled"})
_NEGATIONS = ("DIS", "OFF", "OPT_OUT", "OPTOUT", "_NO_", "NOT")


class Rule:
    """What one rule of consent says: `off` or nothing, and why, in words for a person.

    `misspelt` is the variable that says so for the one that was meant, None if none was mistyped.
    """

    __slots__ = ("misspelt", "name", "off", "why")

    def __init__(self, name: str, why: str, *, off: bool, misspelt: str | None = None) -> None:
        self.name = name
        self.off = off
        self.why = why
        self.misspelt = misspelt

    def __repr__(self) -> str:
        return f"Rule({self.name!r}, {self.why!r}, off={self.off})"


def _variable(
    name: str, settings: env.Settings, misspelt: "list[tuple[str, str, str]]", *, is_no: bool
) -> Rule:
    """Judge the variable `name` in the environment and in `.env`: a no in either is a no, and so
    is what may be one.
    """
    file = settings.file
    unclear = () if file is None else file.unclear
    places = [
        ("set in the environment", settings.environ.get(name)),
        ("set in .env", settings.dotenv.get(name)),
        *(
            (f"set in .env, in a line that cannot be read ({why})", value)
            for variable, value, why in unclear
            if variable == name
        ),
    ]
    found = [(why, value) for why, value in places if value is not None]
    for why, value in found:
        refused = value.strip().lower() not in _YES if is_no else env.is_truthy(value)
        if refused:
            return Rule(name, why, off=True)
    for where, given, meant in misspelt:
        if meant == name:
            why = f"set in {where} as {_visible(given)}. Did you mean {name}?"
            return Rule(name, why, off=True, misspelt=_visible(given))
    if file is not None and file.problem is not None:
        return Rule(name, f"may be set: {file.problem}", off=True)
    return Rule(name, "set, and does not say off" if found else "not set", off=False)


def misspelt_opt_outs(values: "Mapping[str, str]") -> "list[tuple[str, str]]":
    """Return the variables that say off under a name that there is not, each with the one meant."""
    found = []
    for name, value in env.unknown_variables(values).items():
        upper = name.upper()
        meant = "PATTER_TELEMETRY"
        if is_one_slip_from("DO_NOT_TRACK", upper):
            meant = "DO_NOT_TRACK"
        elif any(part in upper for part in _NEGATIONS):
            meant = "PATTER_TELEMETRY_DISABLED"
        is_no = value.strip().lower() in _NO
        if is_no if meant == "PATTER_TELEMETRY" else env.is_truthy(value):
            found.append((name, meant))
    return found


def _environment_rules(settings: env.Settings) -> list[Rule]:
    misspelt = [
        (where, *found)
        for where, values in (("the environment", settings.environ), (".env", settings.dotenv))
        for found in misspelt_opt_outs(values)
    ]
    return [
        _variable(name, settings, misspelt, is_no=name == "PATTER_TELEMETRY")
        for name in env.OPT_OUTS
    ]


def _visible(name: str) -> str:
    from getpatter.telemetry._terminal import one_line  # only who mistypes loads it

    return one_line(name[:_SHOWN])


def _flag_rule(flag: "bool | None") -> Rule:
    # Anything false but None is a no, `0` and `""` included.
    off = flag is not None and not flag
    if off:
        return Rule("telemetry=False", "passed in code", off=True)
    return Rule("telemetry=False", "not passed in code", off=False)


def _machine_rule(environ: "Mapping[str, str]") -> Rule:
    sign = unattended.sign(environ)
    if sign is not None:
        return Rule("CI or test run", sign, off=True)
    return Rule("CI or test run", "no sign of either", off=False)


def judge(settings: env.Settings, flag: "bool | None", opted_out: "str | None") -> list[Rule]:
    """Return every rule with what it says, in order; `opted_out`: where a marker is, if any."""
    if opted_out is None:
        marker = Rule("opt-out marker", "none stored", off=False)
    else:
        marker = Rule("opt-out marker", opted_out, off=True)
    return [
        *_environment_rules(settings),
        marker,
        _flag_rule(flag),
        _machine_rule(settings.environ),
    ]


def decide(rules: "list[Rule]") -> Rule:
    """Return the rule that decides: the first that says off, else the default, which is on."""
    for rule in rules:
        if rule.off:
            return rule
    return Rule("default", "nothing says off", off=False)


def has_refused(environ: "Mapping[str, str]", flag: "bool | None") -> bool:
    """Return whether the environment or the flag alone already say off, without any I/O."""
    return bool(_refusals(environ, flag))


def _refusals(environ: "Mapping[str, str]", flag: "bool | None") -> list[Rule]:
    rules = [
        *_environment_rules(env.Settings(environ, {})),
        _flag_rule(flag),
        _machine_rule(environ),
    ]
    return [rule for rule in rules if rule.off]


class Consent:
    """The consent of one run: where to ask stays as it was at its start, what is found there counts
    anew each time.

    `dotenv` is the `.env` to read ("": none; None: that of the working directory), `directory` a
    state directory to ask beside the known places: both for a process that goes on for another.
    """

    __slots__ = (
        *("_directory", "_dotenv", "_environ", "_flag", "_last", "_places"),
        *("is_unclear", "refusals"),
    )

    def __init__(
        self,
        environ: "Mapping[str, str]",
        flag: "bool | None" = None,
        *,
        dotenv: str | None = None,
        directory: str | None = None,
    ) -> None:
        self._environ = environ
        self._flag = flag
        self._directory = directory
        self._places: Places | None = None
        self._last: Dotenv | None = None
        #: The rules that were off when they were asked last, as far as they were asked.
        self.refusals: list[Rule] = []
        #: Whether that was for want of an answer: what might say off could not be read.
        self.is_unclear = False
        self._dotenv = dotenv

    @property
    def dotenv(self) -> str:
        """The absolute path of the `.env`, there or not; empty if there can be none. That of the
        working directory is looked up by who asks first: at the start, unless telemetry is off.
        """
        if self._dotenv is None:
            self._dotenv = env.dotenv_path()
        return self._dotenv

    @property
    def places(self) -> "Places":
        """Where state can be. Not asked, and nothing loaded for it, while telemetry is off."""
        if self._places is None:
            from getpatter.telemetry.places import Places

            found = Places.of(self._environ)
            if self._directory is not None and self._directory not in found.all:
                found.earlier += (self._directory,)
            self._places = found
        return self._places

    def settings(self) -> env.Settings | None:
        """Return the settings that are in force; None without consent.

        Asks the environment and the flag first: where they say off, nothing is touched at all.
        """
        self.refusals = _refusals(self._environ, self._flag)
        self.is_unclear = False
        if self.refusals:
            return None
        self.is_unclear = True  # and so it is if anything is raised
        settings = env.Settings.load(self._environ, self.dotenv, self._last)
        self._last = settings.file
        self.refusals = [rule for rule in _environment_rules(settings) if rule.off]
        if self.refusals:
            self.is_unclear = settings.file is not None and settings.file.problem is not None
            return None
        if self.places.opt_out() is not None:
            self.is_unclear = self.places.stored_opt_out(is_certain=True) is None
            return None
        self.is_unclear = False
        return settings

    def rules(self) -> "list[Rule]":
        """Return every rule with what it says, in order, for a person."""
        settings = env.Settings.load(self._environ, self.dotenv)
        return judge(settings, self._flag, self.places.opt_out())


def is_enabled(flag: "bool | None" = None) -> bool:
    """Return whether telemetry is on for this process now. Reads; writes nothing.

    `flag` is what the program passed as `telemetry=`: False is a no, True overrides nothing.
    """
    return resolve(env.process_environment(), flag) is not None


def resolve(environ: "Mapping[str, str]", flag: "bool | None") -> env.Settings | None:
    """Return the settings of a run that starts now with consent, None for one without."""
    return Consent(environ, flag).settings()

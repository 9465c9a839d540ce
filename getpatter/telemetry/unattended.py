"""Unattended: whether this process is a job of CI or a test run, by what can be seen cheaply.

Looks at variables, at how the program was started and at what is loaded; loads nothing for it.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["VARIABLES", "ci_variable", "is_truthy", "sign", "test_runner", "test_variable"]

_FALSE = frozenset({"", "0", "false", "no", "off"})

# The CI systems that say so in a variable of their own.
CI_VARIABLES = (
    "CI",
    "CONTINUOUS_INTEGRATION",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "TRAVIS",
    "CIRCLECI",
    "APPVEYOR",
    "TF_BUILD",
    "TEAMCITY_VERSION",
    "BUILDKITE",
    "DRONE",
    "JENKINS_URL",
    "HUDSON_URL",
    "BAMBOO_BUILDKEY",
    "CODEBUILD_BUILD_ID",
)

_TEST_BY_PRESENCE = ("PYTEST_CURRENT_TEST", "PYTEST_VERSION")
_TEST_BY_VALUE = ("PATTER_ENV", "NODE_ENV")

# Test runners by the name of their module or script. pytest says so in a variable; a name that a
# program of its own might well have (`robot`, `green`) is none of them.
_RUNNERS = frozenset(
    {"unittest", "doctest", "nose2", "ward", "behave", "stestr", "trial", "twisted.trial"}
    | {"testtools.run", "zope.testrunner", "zope-testrunner"}
)
# What tests put doubles in the place of, and what most doubles are made with.
_REPLACED_OR_REPLACING = frozenset(
    {"requests", "urllib3", "unittest.mock", "mock", "flexmock", "httpretty", "mocket", "pook"}
)
_DJANGO = ("manage.py", "django-admin", "django")

#: What is asked of the environment.
VARIABLES = (*CI_VARIABLES, *_TEST_BY_PRESENCE, *_TEST_BY_VALUE)


def is_truthy(value: str | None) -> bool:
    """Return whether `value` is set and not one of empty, `0`, `false`, `no`, `off`.

    White space around it and its case do not matter.
    """
    return value is not None and value.strip().lower() not in _FALSE


def ci_variable(environ: "Mapping[str, str]") -> str | None:
    """Return the first variable that says that this is CI, or None."""
    return next((name for name in CI_VARIABLES if is_truthy(environ.get(name))), None)


def test_variable(environ: "Mapping[str, str]") -> str | None:
    """Return the first variable that says that this is a test run, or None."""
    for name in _TEST_BY_PRESENCE:
        if name in environ:
            return name
    for name in _TEST_BY_VALUE:
        if environ.get(name, "").strip().lower() == "test":
            return name
    return None


def test_runner() -> str | None:
    """Return which test runner is this program, or None: one that sets no variable.

    Looks at how the program was started, and whether its script holds test cases; loads nothing.
    """
    main = sys.modules.get("__main__")
    module = str(getattr(getattr(main, "__spec__", None), "name", None) or "")
    if module.removesuffix(".__main__") in _RUNNERS:
        return f"python -m {module.removesuffix('.__main__')}"
    script, *arguments = [str(word) for word in getattr(sys, "argv", None) or [""]]
    # A module that a tracer or a debugger runs names itself `python -m unittest`.
    script = os.path.basename(script).rpartition(" -m ")[2]
    script = script.removesuffix(".exe").removesuffix("-script.py")
    if script in _RUNNERS:
        return script
    if script in _DJANGO and arguments[:1] == ["test"]:
        return f"{script} test"
    case = getattr(sys.modules.get("unittest.case"), "TestCase", None)
    if isinstance(case, type) and any(
        issubclass(type(value), type) and issubclass(value, case) and value is not case
        for value in list(getattr(main, "__dict__", {}).values())
    ):
        return "a script of test cases"
    return None


def _is_network_replaced() -> bool:
    """Return whether a test has put something in the place of the network."""
    if sys.modules.keys().isdisjoint(_REPLACED_OR_REPLACING):
        return False
    from getpatter.telemetry.network.doubles import is_network_replaced

    return is_network_replaced()


def sign(environ: "Mapping[str, str]") -> str | None:
    """Return what says that this is CI or a test run, in words for a person; None if nothing."""
    variable = ci_variable(environ) or test_variable(environ)
    if variable is not None:
        return f"{variable} is set"
    runner = test_runner()
    if runner is not None:
        return f"{runner} runs"
    return "a test has replaced the network" if _is_network_replaced() else None

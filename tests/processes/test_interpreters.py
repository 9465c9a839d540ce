"""Several interpreters in one process: everything arrives once, and none ends the process.

Two kinds: isolated ones, as the standard library makes them (its module is private before 3.14,
and had another name before 3.13); and ones that share what interpreters used to share, as mod_wsgi
and embedding programs make them with `Py_NewInterpreter` and end them with `Py_EndInterpreter`,
whatever threads are left. For these the interpreter's own test module is used, which every Python
built from source has; a C program would need a compiler.
"""

from matrix import check
from stage import Stage

pytest_plugins = ("processes_fixtures",)

ISOLATED = """
import sys
from tell import tell
if sys.version_info >= (3, 13):
    import _interpreters as interpreters
    def execute(number, text):
        assert interpreters.exec(number, text) is None
else:
    import _xxsubinterpreters as interpreters
    execute = interpreters.run_string
RUNNING = "from tell import client, tell; tell('running'); assert client.flush(60), client.stats()"
tell("running")
numbers = [interpreters.create() for _ in range(2)]
for number in numbers: execute(number, RUNNING)
sys.stdin.read()
for number in numbers: execute(number, "tell('ending')")
for number in numbers: interpreters.destroy(number)
tell("ending")
"""


def test_isolated_subinterpreters(stage: Stage) -> None:
    program = stage.script(ISOLATED)
    stage.until(running=3)
    assert stage.arrive(), stage.output
    assert stage.finish(program) == 0, stage.output
    stage.until(ending=3)
    check("subinterpreters, isolated", stage.settle())
    assert stage.starts() == stage.runs() == 4


SHARING = """
import _testcapi
from tell import tell
WORK = '''
from tell import client, tell
tell("running")
assert client.flush(60), client.stats()
tell("ending")
'''
tell("running")
for _ in range(5):
    assert _testcapi.run_in_subinterp(WORK) == 0
tell("ending")
"""


def test_subinterpreters_that_share(stage: Stage) -> None:
    program = stage.script(SHARING)
    assert stage.finish(program) == 0, stage.output
    stage.until(running=6, ending=6)
    check("subinterpreters, sharing", stage.settle())
    assert stage.starts() == stage.runs() == 7

"""A parent and a child of its, an event each, by `os.fork` or one of multiprocessing's ways.

With `fork` the child uses the client that it inherits; a child that is spawned makes its own.
"""

import multiprocessing
import os
import sys

from events import uid
from measuring import Given, answer


def record(given: Given, client: object, number: int) -> None:
    """Record the event of one process."""
    given.recorder(client)("call_started", {"carrier": "twilio", "call_uid": uid(number)})


def child(arguments: list[str], client: object = None) -> None:
    """Be the child: record, and end as the client asks of a program."""
    sys.argv = arguments
    given = Given()
    if client is None:
        client = given.client()
    record(given, client, 2)
    given.adapter.end(client)


#: Hands the inherited client to a forked child of multiprocessing, which could not pickle it.
_INHERITED: list[object] = []


def forked_child(arguments: list[str]) -> None:
    """Be the child with the parent's client."""
    child(arguments, _INHERITED[0])


def main() -> None:
    """Run both."""
    given = Given()
    way = given.text("way")
    client = given.client()
    record(given, client, 1)
    if way == "os.fork":
        pid = os.fork()
        if pid == 0:
            record(given, client, 2)
            given.adapter.end(client)
            return
        os.waitpid(pid, 0)
    else:
        _INHERITED.append(client)
        context = multiprocessing.get_context(way)
        # The two kinds of context have one `Process` each, and no type in common.
        begin = forked_child if way == "fork" else child
        process = context.Process(target=begin, args=(sys.argv,))  # type: ignore[attr-defined]
        process.start()
        process.join()
    answer(done=True)
    given.adapter.end(client)


if __name__ == "__main__":
    main()

"""A short script: one event, and its end. Says when its own last line began.

With `event=no` it is a next start that has nothing of its own to say but still makes a client.
"""

import time

from events import uid
from measuring import Given, answer


def main() -> None:
    """Run."""
    given = Given()
    client = given.client()
    if given.text("event") == "yes":
        given.recorder(client)("call_started", {"carrier": "twilio", "call_uid": uid(1)})
    else:
        given.recorder(client)("sdk_initialized", {"carrier": "twilio"})
        given.adapter.flush(client, 5.0)
    answer(ending=time.monotonic())
    given.adapter.end(client)


if __name__ == "__main__":
    main()

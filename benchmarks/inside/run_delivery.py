"""Events at a pace, then the close: what arrives is counted at the sink."""

import time

from events import make
from measuring import Given, answer, paced


def main() -> None:
    """Run."""
    given = Given()
    events = make(given.number("events"), given.text("kind"))
    client = given.client(compress=given.text("compress") == "yes")
    paced(given.recorder(client), events, given.number("rate"))
    begun = time.monotonic()
    given.adapter.close(client, given.number("close"))
    answer(close=time.monotonic() - begun)


if __name__ == "__main__":
    main()

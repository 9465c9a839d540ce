"""Receives what a `WebhookSink` sends, and prints each event once, as a line of JSON.

    PATTER_WEBHOOK_SECRET="a long random text" python examples/webhook_receiver.py 8080

Your program sends to it with `WebhookSink("http://127.0.0.1:8080/", "a long random text")`. It
listens on this machine only: put it behind a proxy that speaks HTTPS before others send to it.
"""

import json
import os
import sys
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

from getpatter.calls.sinks.signature import HEADER, verify

# A request has up to 100 events; larger bodies are not read.
LARGEST_BODY = 16 * 1024 * 1024
# A sink tries a request again for about two minutes; so many keys of before are remembered.
KEYS = 10_000
SEEN: "OrderedDict[str, None]" = OrderedDict()
LOCK = Lock()


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 for what it has taken, 401 for what was not signed with the secret."""

    timeout = 10
    secret = b""

    def do_POST(self) -> None:
        """Check the signature before anything in the body is believed."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            self.answer(413)
            return
        body = self.rfile.read(int(length))
        # At most five minutes old: a request that somebody kept cannot be sent again later.
        if not verify(self.secret, self.headers.get(HEADER), body):
            self.answer(401)
            return
        with LOCK:
            # The same request comes again if our answer got lost: its key is the same.
            if self.is_new(self.headers.get("Idempotency-Key", "")):
                for event in json.loads(body)["events"]:
                    print(json.dumps(event), flush=True)
        self.answer(204)

    def is_new(self, key: str) -> bool:
        """Remember the key of a request; return whether it has not been seen before."""
        if key in SEEN:
            return False
        SEEN[key] = None
        if len(SEEN) > KEYS:
            SEEN.popitem(last=False)
        return True

    def answer(self, status: int) -> None:
        """Answer without a body."""
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print events only."""


def main() -> None:
    """Receive until Ctrl-C."""
    Receiver.secret = os.environ.get("PATTER_WEBHOOK_SECRET", "").encode()
    if not Receiver.secret:
        sys.exit("set PATTER_WEBHOOK_SECRET to the secret of the sink")
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    with ThreadingHTTPServer(("127.0.0.1", port), Receiver) as server:
        print(f"listening on http://127.0.0.1:{server.server_port}/", file=sys.stderr, flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()

"""Takes status callbacks of Twilio, and shows what they say of calls.

    TWILIO_AUTH_TOKEN="…" python examples/carrier_status.py https://voice.example.com 8080

Give Twilio `https://voice.example.com/` as the status callback, and have your proxy or tunnel
pass it on to port 8080. Without arguments it needs no account: it signs callbacks itself, sends
them to itself and ends.
"""

import base64
import hmac
import os
import sys
import urllib.request
from threading import Thread
from urllib.parse import urlencode
from wsgiref.simple_server import WSGIRequestHandler, make_server

from getpatter import Patter
from getpatter.calls import Event
from getpatter.integrations.carriers import twilio


class Quiet(WSGIRequestHandler):
    """Logs nothing: the events say it."""

    def log_message(self, *_: object) -> None:
        """Print events only."""


def show(event: Event) -> None:
    """Print what callbacks say, and how calls end."""
    if event.type in ("webhook", "call.ended"):
        print(event.type, event.data, flush=True)


def send(url: str, token: str, fields: dict[str, str]) -> None:
    """Send a callback as Twilio does: a form, signed with the auth token."""
    signed = url + "".join(name + fields[name] for name in sorted(fields))
    digest = hmac.new(token.encode(), signed.encode(), "sha1").digest()
    headers = {"X-Twilio-Signature": base64.b64encode(digest).decode()}
    request = urllib.request.Request(url, urlencode(fields).encode(), headers)  # noqa: S310 - our own address
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request) as answer:
        print("answered", answer.status, flush=True)


def try_it(phone: Patter, url: str, token: str) -> None:
    """Dial two numbers that do not exist, and be called back."""
    busy = phone.call(direction="outbound", carrier="twilio")
    busy.known_as("twilio", "CA1")
    send(url, token, {"CallSid": "CA1", "CallStatus": "ringing"})
    send(url, token, {"CallSid": "CA1", "CallStatus": "busy"})
    with phone.call(direction="outbound", carrier="twilio") as answered:
        answered.known_as("twilio", "CA2")
        answered.answer()
        send(url, token, {"CallSid": "CA2", "CallStatus": "completed"})


def main() -> None:
    """Take callbacks until Ctrl-C, or send some and end."""
    token = os.environ.get("TWILIO_AUTH_TOKEN", "" if sys.argv[1:] else "an invented token")
    if not token:
        sys.exit("set TWILIO_AUTH_TOKEN to the auth token of your account")
    phone = Patter(carrier="none")
    phone.diagnostics.attach(show)
    public_url = sys.argv[1] if len(sys.argv) > 1 else None
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    application = twilio.wsgi(phone, token, public_url=public_url)
    with make_server("127.0.0.1", port, application, handler_class=Quiet) as server:
        url = f"http://127.0.0.1:{server.server_port}/"
        print(f"listening on {url}", file=sys.stderr, flush=True)
        if public_url is not None:
            server.serve_forever()
        Thread(target=server.serve_forever, daemon=True).start()
        try_it(phone, url, token)
        server.shutdown()
    phone.diagnostics.flush()


if __name__ == "__main__":
    main()

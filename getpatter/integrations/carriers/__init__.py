"""Status callbacks of carriers: verified, and passed to the calls that they are about.

`from getpatter.integrations.carriers import twilio`. Importing loads no library of a carrier.
"""

from getpatter.integrations.carriers import callback as _callback
from getpatter.integrations.carriers import signatures as _signatures
from getpatter.integrations.carriers.carrier import Carrier
from getpatter.integrations.webhooks.request import Verified

__all__ = ["Carrier", "Verified", "plivo", "telnyx", "twilio"]

twilio = Carrier("twilio", _signatures.twilio, _callback.twilio)
telnyx = Carrier("telnyx", _signatures.telnyx, _callback.telnyx)
plivo = Carrier("plivo", _signatures.plivo, _callback.plivo)

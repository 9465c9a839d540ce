"""Statistics of one track: what happened between samples, and its values in a stats record.

Counters may be reset (a new stream under the same id), samples may be missing, and RTP sequence
numbers wrap around at 16 bits. Does no I/O and knows no clock; each object has one owner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from getpatter.calls.stats.sample import COUNTERS, LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Delta", "Interval", "Meter"]

# With these types `packets` are those sent, lost ones among them; else those received.
_SENT = frozenset({"outbound-rtp", "remote-outbound-rtp"})
# The counters that a rate is made of. Each has its own time: a sample may lack one of them.
_RATED = ("packets", "bytes")
# RTP numbers its packets in 16 bits.
_WRAP = 65_536
# Between two samples so many more packets may arrive than were sent, late or twice, and are not
# taken for a whole turn of the sequence numbers: a minute of voice.
_LATE = 4_096
# Values of samples whose mean stands in a record, and under which name.
_MEANS = {
    "jitter": "jitter",
    "rtt": "rtt",
    "score": "quality",
    "audio_input_level": "audio_input_level",
    "audio_output_level": "audio_output_level",
}
# Those whose mean over the whole track stands there too.
_AVERAGES = {"jitter": "average_jitter", "rtt": "average_rtt"}


class Delta(NamedTuple):
    """What one sample adds to those before it."""

    start: float
    end: float
    #: Counter → how much it rose; a counter that the sample lacks is absent.
    counts: dict[str, float]
    #: Counter of a rate → the seconds in which it rose so; absent where that is not known.
    seconds: dict[str, float]
    #: Packets that were sent, of which is now known how many were lost; None if it is not.
    sent: float | None
    #: The sample itself.
    values: Mapping[str, object]


class Meter:
    """What is known of one track so far; turns each sample into what it adds."""

    __slots__ = (
        "_counters",
        "_emitted",
        "_has_lost",
        "_lost",
        "_seen",
        "_sequence",
        "_unjudged",
        "at",
        "averages",
        "labels",
    )

    def __init__(self) -> None:
        self.at: float | None = None
        self.labels: dict[str, str] = {}
        #: Value → its sum and how often it was given, since the track began.
        self.averages: dict[str, tuple[float, int]] = {}
        self._counters: dict[str, float] = {}
        self._seen: dict[str, float] = {}
        self._sequence: int | None = None
        self._has_lost = False
        # Packets that come late after all lower the losses so far, which were emitted already: only
        # what rises above those counts as lost anew.
        self._lost: float = 0
        self._emitted: float = 0
        # Packets of which is not known yet whether others were lost among them.
        self._unjudged: float = 0

    def take(self, at: float, values: Mapping[str, object]) -> Delta | None:
        """Return what a sample adds; None if it is older than the one before.

        `values` has passed `sample.refusal`. The first sample adds all that was counted since the
        track began; it makes a rate only if it says when that was.
        """
        before = self.at
        if before is not None and at < before:
            return None
        start = values.get("start") if before is None else before
        known_start = start if isinstance(start, (int, float)) and start <= at else None
        self.at = at
        is_reset = self._is_reset(values)
        if is_reset:
            # All counters began anew, also those that this sample does not have.
            self._counters.clear()
            self._unjudged = 0
        counts: dict[str, float] = {}
        seconds: dict[str, float] = {}
        counters = self._counters
        for name in COUNTERS:
            value = values.get(name)
            if value is None:
                continue
            last = counters.get(name, 0)
            counters[name] = value  # type: ignore[assignment] # a number: it was not refused
            # A counter that began anew by itself counts from 0 again.
            counts[name] = value - last if value >= last or name == "lost" else value  # type: ignore[operator,assignment]
            if name in _RATED:
                since = self._seen.get(name, known_start if before is None else None)
                if since is not None:
                    seconds[name] = at - since
                self._seen[name] = at
        sent = self._judge(counts, values, is_reset=is_reset)
        for name, value in values.items():
            if name in _AVERAGES and value is not None:
                total, times = self.averages.get(name, (0.0, 0))
                self.averages[name] = (total + value, times + 1)  # type: ignore[operator]
            elif name in LABELS and value is not None:
                self.labels[name] = value  # type: ignore[assignment] # text: it was not refused
        return Delta(at if known_start is None else known_start, at, counts, seconds, sent, values)

    def _is_reset(self, values: Mapping[str, object]) -> bool:
        """Return whether the stream began anew: traffic itself never goes back."""
        return any(
            values.get(name) is not None and values[name] < self._counters.get(name, 0)  # type: ignore[operator]
            for name in _RATED
        )

    def _judge(
        self, counts: dict[str, float], values: Mapping[str, object], *, is_reset: bool
    ) -> float | None:
        """Work out the losses, write them into `counts`, and return how many packets were sent."""
        arrived = counts.get("packets", 0) + counts.get("padding", 0)
        self._unjudged += arrived
        if "lost" in counts:
            self._has_lost = True
            more = counts["lost"]
        elif self._has_lost or values.get("sequence") is None or "packets" not in counts:
            return None
        else:
            sequence: int = values["sequence"]  # type: ignore[assignment] # it was not refused
            last, self._sequence = self._sequence, sequence
            if last is None or is_reset:
                self._unjudged = 0
                return None
            more = _numbers(last, sequence, self._unjudged) - self._unjudged
        self._lost += more
        lost = counts["lost"] = max(0, self._lost - self._emitted)
        self._emitted += lost
        sent, self._unjudged = self._unjudged, 0
        return sent if self.labels.get("stats_type") in _SENT else sent + lost


def _numbers(last: int, sequence: int, arrived: float) -> float:
    """Return how many sequence numbers lie between two, where so many packets arrived."""
    ahead = (sequence - last) % _WRAP
    return ahead - (ahead + _LATE - arrived) // _WRAP * _WRAP


class Interval:
    """What was added since the last stats record."""

    __slots__ = ("_counts", "_lost", "_means", "_seconds", "_sent", "samples")

    def __init__(self) -> None:
        self.samples = 0
        self._counts: dict[str, float] = {}
        self._seconds: dict[str, float] = {}
        self._sent: float = 0
        self._lost: float = 0
        self._means: dict[str, tuple[float, int]] = {}

    def add(self, delta: Delta) -> None:
        """Add what one sample adds."""
        self.samples += 1
        for name, seconds in delta.seconds.items():
            self._counts[name] = self._counts.get(name, 0) + delta.counts[name]
            self._seconds[name] = self._seconds.get(name, 0) + seconds
        if delta.sent is not None:
            self._sent += delta.sent
            self._lost += delta.counts.get("lost", 0)
        means = self._means
        for name in _MEANS:
            value = delta.values.get(name)
            # A score of 0 means that the quality is not known.
            if value is not None and (value or name != "score"):
                total, times = means.get(name, (0.0, 0))
                means[name] = (total + value, times + 1)  # type: ignore[operator]

    def values(self, meter: Meter) -> dict[str, float]:
        """Return the values of a stats record; what is not known is absent."""
        found: dict[str, float] = {}
        if self._seconds.get("bytes"):
            found["bitrate"] = self._counts["bytes"] * 8 / 1_000 / self._seconds["bytes"]
        if self._seconds.get("packets"):
            found["packet_rate"] = self._counts["packets"] / self._seconds["packets"]
        if self._sent:
            found["fraction_loss"] = min(1.0, self._lost / self._sent)
            found["packet_loss_percentage"] = 100 * found["fraction_loss"]
        for name, (total, times) in self._means.items():
            found[_MEANS[name]] = total / times
        for name, (total, times) in meter.averages.items():
            found[_AVERAGES[name]] = total / times
        return found

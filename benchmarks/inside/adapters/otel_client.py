"""opentelemetry-sdk with the OTLP HTTP exporter: events are log records that have a name."""

from typing import cast

from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def make(port: int, folder: str, *, compress: bool) -> LoggerProvider:
    """Make the provider; it shuts down at exit by itself."""
    provider = LoggerProvider()
    exporter = OTLPLogExporter(
        endpoint=f"http://127.0.0.1:{port}/v1/logs",
        compression=Compression.Gzip if compress else None,
    )
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    return provider


def recorder(client: LoggerProvider) -> "Callable[[str, Mapping[str, object]], None]":
    """Return what emits one event with its dimensions as attributes."""
    logger = client.get_logger("benchmark")

    def record(name: str, dimensions: "Mapping[str, object]") -> None:
        logger.emit(
            event_name=name,
            severity_number=SeverityNumber.INFO,
            attributes=cast("dict[str, str]", dict(dimensions)),  # all of them plain values
        )

    return record


def flush(client: LoggerProvider, seconds: float) -> None:
    """Wait for delivery."""
    client.force_flush(int(seconds * 1000))


def close(client: LoggerProvider, seconds: float) -> None:
    """Shut down, however long it takes."""
    client.shutdown()


def end(client: LoggerProvider) -> None:
    """Nothing: it registers its own exit hook."""

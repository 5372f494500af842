"""`OpenTelemetryHook`: a hook for `TracedStore` that makes spans and metrics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from threadloom.errors import MissingAdapter

if TYPE_CHECKING:
    from opentelemetry import metrics, trace

_NAME = "threadloom"


class OpenTelemetryHook:
    """Makes a span and two measurements of every batch.

    A span is named ``threadloom Get+Scan`` after the kinds of operations and is a child of the
    span that is current where the batch was asked for. The histograms are
    ``threadloom.operation.duration`` in seconds and ``threadloom.operation.size`` in bytes. All
    carry ``db.system.name`` and ``db.operation.name``, and those of a failure ``error.type``.
    Nothing of what is stored is in them.

    Args:
        tracer_provider: where spans go; the global one by default.
        meter_provider: where measurements go; the global one by default.

    Raises:
        MissingAdapter: the package ``opentelemetry-api`` is not installed.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        try:
            from opentelemetry import metrics, trace
        except ImportError as error:
            raise MissingAdapter(
                'spans and metrics need OpenTelemetry: pip install "threadloom[otel]"'
            ) from error
        self._trace = trace
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider)
        meter = metrics.get_meter(_NAME, meter_provider=meter_provider)
        self._duration = meter.create_histogram(
            f"{_NAME}.operation.duration", unit="s", description="How long a batch took"
        )
        self._size = meter.create_histogram(
            f"{_NAME}.operation.size",
            unit="By",
            description="Bytes that a batch handed over and got back",
        )

    def __call__(self, name: str, seconds: float, bytes: int, error: BaseException | None) -> None:
        """Tell of a batch that is over."""
        end = time.time_ns()
        attributes: dict[str, str | int] = {
            "db.system.name": _NAME,
            "db.operation.name": name,
        }
        if error is not None:
            attributes["error.type"] = type(error).__qualname__
        self._duration.record(seconds, attributes)
        self._size.record(bytes, attributes)
        span = self._tracer.start_span(
            f"{_NAME} {name}",
            kind=self._trace.SpanKind.CLIENT,
            start_time=end - int(seconds * 1e9),
            attributes={**attributes, f"{_NAME}.operation.size": bytes},
        )
        if error is not None:
            # Not its message: that may name what is stored.
            failed = self._trace.StatusCode.ERROR
            span.set_status(self._trace.Status(failed, type(error).__qualname__))
        span.end(end)

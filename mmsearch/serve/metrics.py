"""What a server counts, as Prometheus reads it. No label holds a path, a query or a name of a person's."""

from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.responses import Response
from starlette.types import Scope

if TYPE_CHECKING:
    from mmsearch.serve.service import Service

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")


class Metrics:
    """Of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._answers = Counter(
            "mmsearch_answers", "Answers by route and status.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "mmsearch_answer_seconds", "Seconds until the head of an answer.", ("route",), registry=self._registry,
            buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
        )  # fmt: skip

    def watch(self, service: "Service") -> None:
        """Tell how much goes on in a service."""
        told = {
            "searches_running": lambda: service.searches.running,
            "searches_waiting": lambda: service.searches.waiting,
            "previews_running": lambda: service.previews.running,
            "previews_waiting": lambda: service.previews.waiting,
            "streams": lambda: service.streams,
            "ready": lambda: int(service.ready.ready),
        }
        for name, value in told.items():
            gauge = Gauge(f"mmsearch_{name}", f"Now: {name.replace('_', ' ')}.", registry=self._registry)
            gauge.set_function(value)

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an answer; what no route was found for is one kind."""
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._answers.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def answer(self) -> Response:
        """All of it."""
        return Response(generate_latest(self._registry), headers={"content-type": CONTENT_TYPE_LATEST})

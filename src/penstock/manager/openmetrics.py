"""This file writes a status as OpenMetrics, for Prometheus; the package prometheus-client knows the format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from penstock.manager import figures

CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class NotInstalled(Exception):
    """The package that writes OpenMetrics is missing; the message says how to get it."""


def openmetrics(status: Mapping[str, Any]) -> bytes:
    """The metrics of one status; docs/workers.md lists them.

    Raises:
        NotInstalled: the extra is missing.
    """
    try:
        from prometheus_client import CollectorRegistry, metrics_core
        from prometheus_client.openmetrics.exposition import generate_latest
        from prometheus_client.registry import Collector
    except ImportError:
        raise NotInstalled("OpenMetrics needs the package prometheus-client: pip install 'penstock[metrics]'") from None

    class Status(Collector):
        def collect(self) -> Iterator[Any]:
            yield from _of_supervisor(metrics_core, status)
            yield from _of_pools(metrics_core, status["pools"])

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Status())
    document: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]
    return document


def _of_supervisor(core: Any, status: Mapping[str, Any]) -> Iterator[Any]:
    yield core.InfoMetricFamily("penstock", "The version that runs.", {"version": figures.text(status["version"])})
    yield core.GaugeMetricFamily("penstock_uptime_seconds", "Since the supervisor started.", status["uptime"])
    yield core.GaugeMetricFamily("penstock_generation", "Grows with each reload.", status["generation"])
    for name, help_text, key, label in (
        ("penstock_reloads", "Reloads, by their result.", "reloads", "result"),
        ("penstock_exits", "Workers that have ended, by exit code or signal.", "exits", "cause"),
    ):
        family = core.CounterMetricFamily(name, help_text, labels=[label])
        for value, number in sorted(status[key].items()):
            family.add_metric([figures.text(value)], number)
        yield family
    for name, help_text, key in (
        ("penstock_spawns", "Workers that were started.", "spawns"),
        ("penstock_slow_requests", "Requests that the slow log has.", "slow_requests"),
        ("penstock_timeouts", "Requests that cost their worker its life.", "timeouts"),
        ("penstock_log_lines_dropped", "Lines of logs that could not be written.", "log_lines_dropped"),
    ):
        yield core.CounterMetricFamily(name, help_text, status[key])


def _of_pools(core: Any, pools: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
    counter, gauge = core.CounterMetricFamily, core.GaugeMetricFamily
    requests = counter("penstock_requests", "Requests that were answered.", labels=["pool"])
    ready = gauge("penstock_ready", "1 if a worker of the newest generation serves.", labels=["pool"])
    least = gauge("penstock_workers_min", "Workers there are at least.", labels=["pool"])
    most = gauge("penstock_workers_max", "Workers there may be.", labels=["pool"])
    workers = gauge("penstock_workers", "Workers, by what they do.", labels=["pool", "state"])
    active = gauge("penstock_requests_active", "Requests that run.", labels=["pool"])
    pending = gauge("penstock_listen_queue_pending", "Connections not accepted yet.", labels=["pool"])
    limit = gauge("penstock_listen_queue_limit", "Connections that may wait.", labels=["pool"])
    memory = gauge("penstock_worker_resident_bytes", "Memory of a worker.", labels=["pool", "pid"])
    cpu = counter("penstock_worker_cpu_seconds", "CPU time of a worker.", labels=["pool", "pid"])
    for pool in pools:
        name = [figures.text(pool["name"])]
        requests.add_metric(name, pool["requests"])
        ready.add_metric(name, is_ready(pool))
        least.add_metric(name, pool["min"])
        most.add_metric(name, pool["max"])
        active.add_metric(name, sum(worker["active"] or 0 for worker in pool["workers"]))
        for state, number in figures.states(pool).items():
            workers.add_metric([*name, state], number)
        for family, value in ((pending, pool["queue"]["pending"]), (limit, pool["queue"]["limit"])):
            if value is not None:
                family.add_metric(name, value)
        for worker in pool["workers"]:
            for metric, value in ((memory, worker["rss"]), (cpu, worker["cpu"])):
                if value is not None:
                    metric.add_metric([*name, str(worker["pid"])], value)
    yield from (requests, ready, least, most, workers, active, pending, limit, memory, cpu)


def is_ready(pool: Mapping[str, Any]) -> bool:
    """Whether a pool answers requests with the code of its newest generation."""
    return any(
        worker["generation"] == pool["generation"] and worker["state"] in ("idle", "busy") for worker in pool["workers"]
    )

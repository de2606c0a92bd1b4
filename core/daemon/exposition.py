"""What the core knows of host and sandboxes, in Prometheus' text format.

Names are as https://prometheus.io/docs/practices/naming/ has them: base units, ``_total`` for what only grows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandtop import __version__
from sandtop.core.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    from sandtop.core.contract.core_events import HostStats, SandboxStats

    Family = GaugeMetricFamily | CounterMetricFamily

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Figures:
    """What is told of. ``events`` counts what has happened since the core started, by its kind."""

    host: HostStats
    host_seconds: float
    core_seconds: float
    sandboxes: Sequence[SandboxStats]
    events: Mapping[str, int]


def check_library() -> None:
    """Raises `InvalidRequest` where the library for it is not installed."""
    try:
        import prometheus_client as _  # noqa: F401 - to learn whether it is there
    except ImportError:
        raise InvalidRequest(
            "metrics need the library prometheus_client, which is not installed",
            hint="install it beside sandtop: pip install 'sandtop[metrics]'",
        ) from None


def render(figures: Figures) -> bytes:
    """The text; takes some milliseconds for hundreds of sandboxes, for a thread."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(figures))
    return generate_latest(registry)


class _Collector:
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def describe(self) -> list[Family]:
        return []

    def collect(self) -> Iterator[Family]:
        yield from _of_host(self._figures)
        yield from _of_sandboxes(self._figures.sandboxes)


_Row = tuple[tuple[str, ...], float | None]


def _gauge(name: str, words: str, rows: Sequence[_Row], labels: Sequence[str] = ()) -> GaugeMetricFamily:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(f"sandtop_{name}", words, labels=labels)
    for values, value in rows:
        if value is not None:
            family.add_metric(values, value)
    return family


def _counter(name: str, words: str, rows: Sequence[_Row], labels: Sequence[str] = ()) -> CounterMetricFamily:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(f"sandtop_{name}", words, labels=labels)
    for values, value in rows:
        if value is not None:
            family.add_metric(values, value)
    return family


def _of_host(figures: Figures) -> Iterator[Family]:
    host = figures.host
    yield _gauge("build_info", "The version of the core.", [((__version__,), 1.0)], ["version"])
    states = [((state,), float(count)) for state, count in sorted(host.sandboxes.items())]
    yield _gauge("sandboxes", "Sandboxes, by their state.", states, ["state"])
    kinds = [((kind,), float(count)) for kind, count in sorted(figures.events.items())]
    yield _counter("events", "What has happened since the core started, by its kind.", kinds, ["kind"])
    gauges: list[tuple[str, str, float | None]] = [
        ("sessions", "Sessions that run.", host.sessions),
        ("warm_machines", "Machines of the warm pool.", host.standing_by),
        ("clients", "Connections to the core.", host.clients),
        ("host_cpus", "Processors of the host that the core may use.", host.cpus),
        ("host_memory_bytes", "Memory of the host.", host.memory_total),
        ("host_memory_used_bytes", "Memory of the host that is not available to programs.", host.memory),
        ("host_disk_bytes", "Size of the file system where sandboxes write.", host.disk_total),
        ("host_disk_free_bytes", "What of it is free.", host.disk_free),
        (
            "host_disk_reserve_bytes",
            "Free space below which sandboxes that fill it are stopped.",
            host.disk_reserve,
        ),
        ("core_memory_bytes", "Memory that the core takes.", host.core_memory),
        ("core_event_loop_delay_seconds", "The longest wait for a turn in the core, lately.", host.latency),
    ]
    for name, words, value in gauges:
        yield _gauge(name, words, [((), value)])
    yield _counter(
        "host_cpu_seconds", "Processor time of the host that was not idle.", [((), figures.host_seconds)]
    )
    yield _counter("core_cpu_seconds", "Processor time that the core took.", [((), figures.core_seconds)])


_BY_SANDBOX = (
    ("memory_used_bytes", "Memory in use, as the guest sees it.", "memory"),
    ("memory_limit_bytes", "Memory that the sandbox has.", "memory_limit"),
    ("memory_peak_bytes", "The most memory that was in use in a sample since its start.", "memory_peak"),
    ("host_memory_bytes", "Memory of the host that its machine holds.", "host_memory"),
    ("disk_used_bytes", "What its disk takes on the host.", "disk"),
    ("disk_size_bytes", "What its disk may take at most.", "disk_size"),
    ("cpus", "Processors that it has.", "cpus"),
    ("processes", "Processes and threads of its sessions.", "processes"),
    ("sessions", "Sessions that run in it.", "sessions"),
)
_LABELS = ("sandbox", "uuid")


def _of_sandboxes(sandboxes: Sequence[SandboxStats]) -> Iterator[Family]:
    def rows(field: str) -> list[_Row]:
        return [((one.sandbox, one.uuid), getattr(one, field)) for one in sandboxes]

    states = [((one.sandbox, one.uuid, one.state), 1.0) for one in sandboxes]
    yield _gauge("sandbox_state", "1 for the state that it is in.", states, [*_LABELS, "state"])
    for name, words, field in _BY_SANDBOX:
        yield _gauge(f"sandbox_{name}", words, rows(field), _LABELS)
    yield _counter(
        "sandbox_cpu_seconds", "Processor time of the host, since its start.", rows("cpu_seconds"), _LABELS
    )
    words = "Bytes that its sessions wrote since the core started."
    yield _counter("sandbox_output_bytes", words, rows("output_bytes"), _LABELS)

"""``memberwise serve-model``: replicas of a model on Ray Serve, and what they count.

``/v1/generate`` (WebSocket) is the work, ``/v1/model`` and ``/v1/tokenizer`` what a client needs first; ``/healthz`` is
open to all, ``/metrics`` and the rest need the token. Start reading at ``deploy``.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from generation.config import GeneratorConfig
from generation.errors import ConfigError, MissingExtraError
from generation.serving.wire_tool import Limits

APP = "memberwise"
_COUNTS = "memberwise-counts"
_HELP = {
    "generations_total": ("counter", "Texts that were written, by how they ended"),
    "generated_tokens_total": ("counter", "Tokens that were written"),
    "tool_questions_total": ("counter", "Questions to the tools of clients"),
    "generation_seconds_total": ("counter", "Time of all generations"),
    "refused_total": ("counter", "Requests that were refused: token, limit or load"),
    "running": ("gauge", "Texts that are being written"),
}


@dataclass(frozen=True, slots=True)
class Service:
    """What to serve, and how.

    Attributes:
        config: of the model.
        token: what clients must show.
        host: address to listen on.
        port: to listen on.
        replicas: copies of the model.
        together: texts that a replica writes at a time; more are refused.
        limits: of one request.
        cpus: of each replica, for the scheduler.
        weights: hash of the weights, by which a client sees whether its own are the same.
    """

    config: GeneratorConfig
    token: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 8765
    replicas: int = 1
    together: int = 8
    limits: Limits = field(default_factory=Limits)
    cpus: float = 1.0
    weights: str = ""


class Counts:
    """An actor: the numbers of all replicas."""

    def __init__(self) -> None:
        self._values: dict[str, float] = defaultdict(float)

    def add(self, amounts: Mapping[str, float]) -> None:
        """Add to some."""
        for name, amount in amounts.items():
            self._values[name] += amount

    def text(self) -> str:
        """In Prometheus' format."""
        lines = []
        for name, (kind, text) in _HELP.items():
            lines += [f"# HELP memberwise_{name} {text}", f"# TYPE memberwise_{name} {kind}"]
            found = {key: value for key, value in self._values.items() if key.partition("{")[0] == name}
            lines += [f"memberwise_{key} {value:g}" for key, value in sorted(found.items())] or [f"memberwise_{name} 0"]
        return "\n".join(lines) + "\n"


def deploy(served: Service) -> str:
    """Start the replicas on the cluster of this process, or on one of this machine; the address.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: the port is taken.
    """
    try:
        import ray
        from ray import serve
    except ImportError as error:
        raise MissingExtraError("ray", "batch") from error
    from generation.serving.web import application

    if not ray.is_initialized():
        ray.init(log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    try:
        serve.start(http_options={"host": served.host, "port": served.port})
        counts = ray.remote(Counts).options(name=_COUNTS, get_if_exists=True, num_cpus=0).remote()
        serve.run(application(served, counts), name=APP, route_prefix="/")
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"cannot serve at {served.host}:{served.port}: {error}") from error
    return f"http://{served.host}:{served.port}"

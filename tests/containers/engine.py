"""The Docker engine, and the stack of docker-compose.yml on it."""

import json
import os
import socket
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_client.config import BrokerConfig
from fer_schemas import SupervisorStatus
from fer_worker.admin.supervisor_client import SupervisorClient

NOTHING: Mapping[str, str] = {}

ROOT = Path(__file__).parents[2]
PROJECT = "fer-worker-test"
IMAGES = {"worker": f"{PROJECT}:worker", "gateway": f"{PROJECT}:gateway"}
"""Targets of the Dockerfile, and the names of what they become here."""
PORTS = ("AMQP", "MANAGEMENT", "GATEWAY", "PROMETHEUS", "GRAFANA")
"""Those that docker-compose.yml publishes, as its variables name them."""


def docker(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 300,
    check: bool = True,
) -> str:
    """Run a command of `docker` in the checkout, and return what it prints.

    Raises:
        AssertionError: it failed, and `check` says that it must not.
        subprocess.TimeoutExpired: it took too long.
    """
    done = subprocess.run(
        ["docker", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    assert done.returncode == 0 or not check, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout if check else done.stdout + done.stderr


def inspect(name: str, template: str) -> Any:
    """A part of what the engine knows of a container or image."""
    return json.loads(docker("inspect", "--format", f"{{{{json {template}}}}}", name))


def build(target: str, tag: str, context: Path = ROOT) -> None:
    """Build an image.

    Raises:
        AssertionError: it cannot be built; what was printed is in the message.
    """
    docker("build", "--target", target, "--tag", tag, str(context), timeout_s=900)


def free_ports(names: Iterable[str]) -> dict[str, int]:
    """A port of 127.0.0.1 for each name, on which nobody listens."""
    with ExitStack() as held:
        sockets = {name: held.enter_context(socket.socket()) for name in names}
        for each in sockets.values():
            each.bind(("127.0.0.1", 0))
        return {name: each.getsockname()[1] for name, each in sockets.items()}


@dataclass(frozen=True)
class Stack:
    """The stack of docker-compose.yml under a name, images and ports of its own."""

    ports: Mapping[str, int] = field(default_factory=lambda: free_ports(PORTS))
    """What each is on this machine: of no use to others, and the same after a restart."""

    @property
    def broker(self) -> BrokerConfig:
        """The broker, as controllers on this machine know it."""
        return BrokerConfig((f"amqp://fer:fer@127.0.0.1:{self.ports['AMQP']}/",))

    def url(self, service: str, path: str) -> str:
        """Where this machine reaches a service over HTTP."""
        return f"http://127.0.0.1:{self.ports[service]}{path}"

    def compose(
        self, *arguments: str, files: Sequence[Path] = (), settings: Mapping[str, str] = NOTHING
    ) -> str:
        """Run a command of `docker compose`; settings are variables of the environment."""
        named = [word for file in files for word in ("--file", str(file))]
        return docker("compose", *named, *arguments, environment=self.environment(**settings))

    def environment(self, **settings: str) -> dict[str, str]:
        """What makes `docker compose` speak of this stack."""
        return {
            **os.environ,
            "COMPOSE_PROJECT_NAME": PROJECT,
            "WORKER_IMAGE": IMAGES["worker"],
            "GATEWAY_IMAGE": IMAGES["gateway"],
            # So that several fit on this machine.
            "WORKER_CPUS": "1",
            **{f"{name}_PORT": str(port) for name, port in self.ports.items()},
            **settings,
        }

    def up(self, *services: str, **settings: str) -> None:
        """Start services, or change them to what is set, and wait until they are healthy."""
        self.compose("up", "--detach", "--wait", *services, settings=settings)

    def containers(self, *services: str) -> list[dict[str, Any]]:
        """What `docker compose ps` says of the containers of services, stopped ones too."""
        printed = self.compose("ps", "--all", "--format", "json", *services)
        return [json.loads(line) for line in printed.splitlines()]

    def supervisors(self) -> list[SupervisorStatus]:
        """Those that answer."""
        with SupervisorClient(self.broker) as operator:
            return list(operator.statuses())

"""Three RabbitMQ nodes on this machine, joined to a cluster."""

import json
import subprocess
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Self

import pika
from pika.exceptions import AMQPError

from fer_worker.platform import system
from fer_worker.tools.embedded_rabbitmq.ports import HOST, Ports, claim_ports
from fer_worker.tools.embedded_rabbitmq.programs import environment, find_mapper, find_server
from tests.waiting import wait_until

START_TIMEOUT_S = 100.0
CONTROL_TIMEOUT_S = 60.0


class Node:
    """One of them. Everything is on loopback, and ends with this process."""

    def __init__(self, name: str, home: Path, ports: Ports, mapper_port: int) -> None:
        """Store where it is.

        Args:
            name: its own in the cluster.
            home: has the cookie that all nodes share.
            ports: its own.
            mapper_port: of the cluster's one port mapper, where nodes find each other.
        """
        self.name = f"{name}@localhost"
        self._ports = ports
        self._server = find_server()
        self._data_dir = home / name
        self._environment = environment(self._data_dir, ports) | {
            "HOME": str(home),
            "RABBITMQ_NODENAME": self.name,
            "ERL_EPMD_PORT": str(mapper_port),
        }
        self._processes: system.ProcessGroup | None = None

    @property
    def url(self) -> str:
        """Its AMQP URL."""
        return f"amqp://guest:guest@{HOST}:{self._ports.amqp}/"

    def start(self, joins: "Node") -> None:
        """Start it; returns at once. At its first start it joins the cluster of a node."""
        self._data_dir.mkdir(exist_ok=True)
        (self._data_dir / "rabbitmq.conf").write_text(
            f"cluster_formation.classic_config.nodes.1 = {joins.name}\n"
        )
        self._processes = system.ProcessGroup(held=(self._ports.claim.fileno(),))
        with (self._data_dir / "rabbitmq.log").open("ab") as log:
            self._processes.spawn([self._server], self._environment, log)

    def answers(self) -> bool:
        """Whether somebody can log in."""
        try:
            pika.BlockingConnection(pika.URLParameters(self.url)).close()
        except (AMQPError, OSError):
            return False
        return True

    def kill(self) -> None:
        """End it with SIGKILL, as a power cut would. Nothing happens if it is not there."""
        processes, self._processes = self._processes, None
        if processes is not None:
            processes.kill()

    def rabbitmqctl(self, *arguments: str) -> str:
        """Run RabbitMQ's own tool on this node; return what it prints."""
        return subprocess.run(
            [self._server.with_name("rabbitmqctl"), "--quiet", *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CONTROL_TIMEOUT_S,
            check=True,
        ).stdout


class Cluster:
    """Three nodes that are joined on entering and gone on leaving."""

    nodes: tuple[Node, ...]

    def __enter__(self) -> Self:
        with ExitStack() as held:
            folder = tempfile.TemporaryDirectory(prefix="fer-worker-cluster-")
            home = Path(held.enter_context(folder)).resolve()
            cookie = home / ".erlang.cookie"
            cookie.write_text("A" * 20)
            cookie.chmod(0o400)
            ports = [held.enter_context(closing(claim_ports())) for _ in range(3)]
            mapper_port = ports[0].mapper
            self._start_mapper(home, ports[0], held)
            self.nodes = tuple(
                Node(name, home, its, mapper_port) for name, its in zip("abc", ports, strict=True)
            )
            for node in self.nodes:
                held.callback(node.kill)
                node.start(joins=self.nodes[0])
                wait_until(node.answers, START_TIMEOUT_S, f"{node.name} answers")
            self._held = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    @property
    def urls(self) -> tuple[str, ...]:
        """The nodes' AMQP URLs."""
        return tuple(node.url for node in self.nodes)

    def leader(self, queue: str) -> Node:
        """The node that leads a quorum queue, as the others say."""
        listed = self.nodes[-1].rabbitmqctl("list_queues", "name", "leader", "--formatter=json")
        leaders = {row["name"]: row["leader"] for row in json.loads(listed)}
        return next(node for node in self.nodes if node.name == leaders[queue])

    def _start_mapper(self, home: Path, ports: Ports, held: ExitStack) -> None:
        processes = system.ProcessGroup()
        held.callback(processes.kill)
        with (home / "epmd.log").open("wb") as log:
            processes.spawn([find_mapper()], environment(home, ports), log)

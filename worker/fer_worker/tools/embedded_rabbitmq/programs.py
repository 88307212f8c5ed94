"""Where RabbitMQ's programs are, and the environment that makes a node private."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from fer_client.errors import BrokerUnavailableError
from fer_worker.platform import system
from fer_worker.tools.embedded_rabbitmq.ports import HOST, Ports

# The name is part of what a node stores: with another one it would not find its queues again.
# Nodes of the same name do not meet, because each has a port mapper to itself.
NODE_NAME = "fer-worker@localhost"

# The script in Debian's sbin insists on the user `rabbitmq`; this is the one that it wraps.
SERVER_PLACES = (Path("/usr/lib/rabbitmq/bin/rabbitmq-server"),)

SERVER_VARIABLE = "FER_WORKER_RABBITMQ_SERVER"
"""Environment variable that names the program to start nodes with; its tools are beside it."""

NOT_INSTALLED = (
    "RabbitMQ is not installed: `sudo apt install rabbitmq-server` (Debian, Ubuntu; starts a "
    "system broker on port 5672 as well), `sudo dnf install rabbitmq-server` (Fedora) or "
    "`brew install rabbitmq` (macOS)"
)


def find_server(places: Sequence[Path] = SERVER_PLACES, search_path: str | None = None) -> Path:
    """Return the program that starts a node.

    It is the one that `SERVER_VARIABLE` names, else the first of `places`, else that on the path.

    Args:
        places: files to try first.
        search_path: directories to search then, written as in PATH; None is PATH itself.

    Raises:
        BrokerUnavailableError: RabbitMQ is not installed; says how to. Or the variable names none.
    """
    if system.NO_EMBEDDED_BROKER is not None:
        raise BrokerUnavailableError(system.NO_EMBEDDED_BROKER)
    if chosen := os.environ.get(SERVER_VARIABLE):
        if not os.access(chosen, os.X_OK):
            raise BrokerUnavailableError(f"{SERVER_VARIABLE} names no program: {chosen}")
        return Path(chosen).absolute()
    for place in places:
        if os.access(place, os.X_OK):
            return place
    found = shutil.which("rabbitmq-server", path=search_path)
    if found is None:
        raise BrokerUnavailableError(NOT_INSTALLED)
    return Path(found)


def find_mapper() -> str:
    """Return the program that tells Erlang nodes each other's ports."""
    found = shutil.which("epmd")
    if found is None:
        raise BrokerUnavailableError("Erlang's port mapper `epmd` is not on the PATH")
    return found


def environment(data_dir: Path, ports: Ports) -> dict[str, str]:
    """Return all that a node and its tool go by; nothing of it is the system broker's."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RABBITMQ_", "ERL_", "NOTIFY_SOCKET"))
    }
    return inherited | {
        "HOME": str(data_dir),  # the cookie is there
        "LC_ALL": "C.UTF-8",  # Erlang reads paths by it
        "RABBITMQ_NODENAME": NODE_NAME,
        "RABBITMQ_NODE_IP_ADDRESS": HOST,
        "RABBITMQ_NODE_PORT": str(ports.amqp),
        "RABBITMQ_DIST_PORT": str(ports.distribution),
        "RABBITMQ_MNESIA_BASE": str(data_dir / "mnesia"),
        "RABBITMQ_LOG_BASE": str(data_dir / "log"),
        "RABBITMQ_LOGS": "-",  # to our log file, with what the scripts print
        # None of these exist: no plugins, no settings of the system's broker.
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(data_dir / "enabled_plugins"),
        "RABBITMQ_CONF_ENV_FILE": str(data_dir / "rabbitmq-env.conf"),
        "RABBITMQ_CONFIG_FILE": str(data_dir / "rabbitmq.conf"),
        "RABBITMQ_CONFIG_FILES": str(data_dir / "conf.d"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(data_dir / "advanced.config"),
        # Two schedulers, not bound to the cores that inference binds to as well.
        "RABBITMQ_SCHEDULER_BIND_TYPE": "u",
        "ERL_EPMD_PORT": str(ports.mapper),
        "ERL_EPMD_ADDRESS": HOST,
        "ERL_CRASH_DUMP_SECONDS": "0",  # no dump into whatever directory this is
        # For every Erlang machine that is started on the way: the distribution on loopback
        # only, and no port mapper as a daemon that would outlive us.
        "ERL_ZFLAGS": "+S 2:2 -start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
    }

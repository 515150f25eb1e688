"""What a task on a cluster finds in its environment."""

import json
import os
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from ._agent_channel import Place

__all__ = ["PORTS", "free_ports", "task_environment"]

#: How many a host gives: for MASTER_PORT and JAX, which those of rank 0 are, and TF_CONFIG.
PORTS = 3
#: What is Spark's between its JVM and its Python worker, and another gang's.
_NOT_FOR_TASKS = (
    "PYTHON_WORKER_FACTORY_SECRET",
    "PYTHON_WORKER_FACTORY_PORT",
    "HEADRACE_GANG",
)


@dataclass(frozen=True)
class _Host:
    name: str
    ports: list[int]

    def at(self, port: int) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        return f"{name}:{self.ports[port]}"


def free_ports(host: str) -> list[int]:
    """Return `PORTS` ports of a host, this machine, that are free now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as probes:
        ports = []
        for _ in range(PORTS):
            probe = probes.enter_context(socket.socket(family))
            try:
                probe.bind((host, 0))
            except OSError:  # a host that others see under another address
                probe.bind(("", 0))
            ports.append(probe.getsockname()[1])
        return ports


def task_environment(
    place: Place, ports: list[list[int]], given: Mapping[str, str], cpus: int
) -> dict[str, str]:
    """Return all variables of a task: the same as on one machine (src/gang/environment.cc).

    Parameters
    ----------
    ports : list of list of int
        What `free_ports` gave, by rank.
    given : mapping
        Variables in place of this process'.
    cpus : int
        For OMP_NUM_THREADS, unless that is given.
    """
    hosts = [_Host(name, own) for name, own in zip(place.addresses, ports, strict=True)]
    cluster = {"worker": [host.at(2) for host in hosts]}
    task = {"type": "worker", "index": place.rank}
    accelerators = ",".join(place.accelerators)
    variables = {"OMP_NUM_THREADS": str(cpus), "PYTHONUNBUFFERED": "1"}
    variables |= {k: v for k, v in os.environ.items() if k not in _NOT_FOR_TASKS}
    variables |= given
    variables |= {
        "RANK": str(place.rank),
        "WORLD_SIZE": str(len(hosts)),
        "LOCAL_RANK": str(place.local_rank),
        "LOCAL_WORLD_SIZE": str(place.local_world_size),
        "MASTER_ADDR": hosts[0].name,
        "MASTER_PORT": str(hosts[0].ports[0]),
        "JAX_COORDINATOR_ADDRESS": hosts[0].at(1),
        "TF_CONFIG": json.dumps({"cluster": cluster, "task": task}),
        "HEADRACE_ACCELERATORS": accelerators,
    }
    if accelerators:
        variables["CUDA_VISIBLE_DEVICES"] = accelerators
        variables["HIP_VISIBLE_DEVICES"] = accelerators
    return variables

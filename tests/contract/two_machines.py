"""A real Ray cluster of a head without work and two machines, all on this one; run by the Python that has Ray.

python two_machines.py FOLDER PYTHON PORT  ->  one line when it is up; then, from stdin: `kill a`, `kill b`, `end`.
"""
from __future__ import annotations

import os
import sys

from ray.cluster_utils import Cluster

STORE_BYTES = 80 * 2**20


def main(folder: str, python: str, port: str) -> None:
    common = {"object_store_memory": STORE_BYTES, "include_dashboard": False}
    head = {**common, "num_cpus": 0, "ray_client_server_port": int(port)}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    machines = {}
    for name in ("a", "b"):
        own = {
            "PERSONAL_AVATAR_NODE_FOLDER": os.path.join(folder, name), "PERSONAL_AVATAR_NODE_PYTHON": python,
            "OMP_NUM_THREADS": "1",
        }
        machines[name] = cluster.add_node(**common, num_cpus=1, env_vars=own)
    sys.stdout.write(f"up {cluster.address}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        word, _, name = line.strip().partition(" ")
        if word == "kill":
            cluster.remove_node(machines[name], allow_graceful=False)
            sys.stdout.write(f"killed {name}\n")
            sys.stdout.flush()
        elif word == "end":
            break
    cluster.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])

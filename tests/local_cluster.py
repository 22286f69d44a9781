"""Three Ray nodes on this machine, on loopback alone, until standard input ends. A script, run as a process.

The caller sets RAY_AUTH_MODE, RAY_AUTH_TOKEN and RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 (which puts Ray on 127.0.0.1).
"""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster

if __name__ == "__main__":
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        # A logical GPU: Ray assigns it, though none exists.
        cluster.add_node(num_cpus=2, num_gpus=1)
        print(cluster.address, flush=True)
        sys.stdin.read()
    finally:
        cluster.shutdown()

"""Runs a search on three Ray nodes of one machine and kills the one that trains trial 0. A process of its own."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import psutil
import ray
from ray.cluster_utils import Cluster

from thaw.analysis.run_folder import RunFolder
from thaw.search.backends.ray.session import set_environment
from thaw.search.sessions.tuner import run_search
from thaw.search.settings.config import load_config


def main(file: Path) -> None:
    config = load_config(file)
    set_environment(2)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes = [cluster.head_node, *(cluster.add_node(num_cpus=1) for _ in range(2))]
    ray.init(address=cluster.address, log_to_driver=False)
    folder = RunFolder(Path(config.output) / config.name)

    def kill_a_node() -> None:
        killed = False
        while not killed:
            time.sleep(0.1)
            rows = list(folder.events()) if folder.events_file.exists() else []
            for row in rows:
                if row["event"] == "epoch" and row["epoch"] >= 2 and not killed:
                    raylet = psutil.Process(int(row["worker"].rpartition(":")[2])).ppid()
                    for node in nodes[1:]:
                        if node.all_processes["raylet"][0].process.pid == raylet:
                            print(f"kill {row['trial']} {time.time()}", flush=True)
                            cluster.remove_node(node, allow_graceful=False)
                            killed = True

    threading.Thread(target=kill_a_node, daemon=True).start()
    try:
        run_search(config)
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""The smallest Ray Tune job on a device: two trials that share it and report the devices they see.

python -m benchmarks.gpu.ray_job cuda
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from thaw.search.backends.ray.session import running_ray, set_environment


def seen(config: dict[str, Any]) -> None:
    """A trial that reports the devices it sees."""
    import torch
    from ray import tune

    tune.report({"devices": os.environ.get("CUDA_VISIBLE_DEVICES", "-"), "gpu": torch.cuda.is_available()})


def main(device: str) -> None:
    started = time.perf_counter()
    set_environment(2)  # before Ray is imported, so that it stays on 127.0.0.1
    import torch
    from ray import tune

    print("torch", torch.__version__, "GPUs", [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())])
    if device == "cuda":
        assert torch.cuda.is_available(), "torch sees no GPU"
        print("free and total bytes", torch.cuda.mem_get_info(), "cuDNN", torch.backends.cudnn.version())
    with running_ray(2):
        print(f"imports and Ray: {time.perf_counter() - started:.1f} s")
        trial = tune.with_resources(seen, {"cpu": 1, "gpu": 0.5 if device == "cuda" else 0})
        quiet = tune.RunConfig(verbose=0)
        done = tune.Tuner(trial, param_space={"number": tune.grid_search([1, 2])}, run_config=quiet).fit()
        assert not done.errors, done.errors
        found = [(result.metrics["devices"], result.metrics["gpu"]) for result in done if result.metrics]
    print(f"devices seen by the trials: {found}; {time.perf_counter() - started:.1f} s in all")
    assert len(found) == 2 and all(gpu == (device == "cuda") for _, gpu in found)


if __name__ == "__main__":
    main(sys.argv[1])

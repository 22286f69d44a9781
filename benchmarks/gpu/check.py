"""Runs what needs a GPU machine: a job of Ray Tune, the tests marked gpu, probes, and the benchmarks.

python -m benchmarks.gpu.check [PART ...] [--device cpu] [--quick]

Needs only Python and torch for CUDA if .gpu holds the kit packed by `make gpu-kit`, otherwise an installed Thaw. Each
part has a time limit, and all together stay within nine minutes. Figures, logs and summary.json go to the --to folder.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu.pack import KIT, PHOTOS, SITE, WEIGHTS

DEVICE_TESTS = ("tests/trainables/training/test_devices.py", "tests/trainables/training/test_together.py")
MIN_SECONDS = 10
"""The remaining seconds below which a part is not started."""


@dataclass(frozen=True)
class Setting:
    """Settings shared by all parts.

    Args:
        device: ``cuda``, or ``cpu`` to try the parts without one.
        quick: small images and few trials, to test whether it runs, not how fast.
        data: folder of photos, or ``digits``.
        weights: weights of MobileNetV2, or None.
        to: folder for all figures.
    """

    device: str
    quick: bool
    data: str
    weights: Path | None
    to: Path

    def bench(self, name: str, *options: str) -> list[str]:
        """A benchmark command with the shared options; its figures go to ``NAME.json``."""
        weights = ["--weights", str(self.weights)] if self.weights and not self.quick else []
        small = ["--image-size", "32", "--images", "60", "--architecture", "mobilenet_v3_small"]
        size = small if self.quick else ["--image-size", "224"]
        common = ["--data", self.data, "--device", self.device, "--json", str(self.to / f"{name}.json")]
        return [*options, *common, *weights, *size]


def _ray(setting: Setting) -> list[str]:
    return ["-m", "benchmarks.gpu.ray_job", setting.device]


def _tests(setting: Setting) -> list[str]:
    mark = "gpu" if setting.device == "cuda" else "not gpu"
    return ["-m", "pytest", "-p", "no:cacheprovider", "-m", mark, *DEVICE_TESTS]


def _probe(setting: Setting) -> list[str]:
    return setting.bench("probe", "-m", "benchmarks.gpu.probe")


def _speed_head(setting: Setting) -> list[str]:
    """Four concurrent head trials on one GPU."""
    few = ["--trials", "2", "--epochs", "2", "--concurrency", "2"] if setting.quick else ["--concurrency", "4"]
    arms = ["--arms", "thaw-cold", "thaw-warm", "tuned"]
    return setting.bench("speed-head", "-m", "benchmarks.speed", "--jobs", "head", *arms, *few)


def _speed_mixed(setting: Setting) -> list[str]:
    few = ["--trials", "2", "--epochs", "1"] if setting.quick else ["--epochs", "2"]
    arms = ["--arms", "thaw-cold", "tuned", "--concurrency", "2"]
    return setting.bench("speed-mixed", "-m", "benchmarks.speed", "--jobs", "mixed", "full", *arms, *few)


def _limits(setting: Setting) -> list[str]:
    few = ["--repeat", "1", "--trials", "3", "--tables", "chunks", "head_trial", "bandwidth"] if setting.quick else []
    concurrency = ["--concurrency", "2" if setting.quick else "4"]
    return setting.bench("limits", "-m", "benchmarks.limits", *concurrency, *(few or ["--trials", "20"]))


PARTS: dict[str, tuple[int, Callable[[Setting], list[str]]]] = {
    "ray": (120, _ray),
    "tests": (150, _tests),
    "probe": (170, _probe),
    "speed-head": (120, _speed_head),
    "speed-mixed": (150, _speed_mixed),
    "limits": (120, _limits),
}
"""Part → its time limit in seconds, and the arguments of its Python command."""


def run_parts(parts: Sequence[str], setting: Setting, environment: dict[str, str], total: float) -> dict[str, dict]:
    """Run parts one after another; the output of each is shown and kept in ``PART.log``.

    Returns:
        Part → ``{"status": exit status, 124 after the limit, None for lack of time, "seconds": …}``.
    """
    began, summary = time.monotonic(), {}
    for name in parts:
        longest, command = PARTS[name]
        limit = min(longest, total - (time.monotonic() - began))
        print(f"\n##### {name}, at most {limit:.0f} s", flush=True)
        started, status = time.monotonic(), None
        if limit >= MIN_SECONDS:
            status = _run([sys.executable, *command(setting)], setting.to / f"{name}.log", environment, limit)
        summary[name] = {"status": status, "seconds": round(time.monotonic() - started, 1)}
        (setting.to / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    return summary


def _run(command: Sequence[str], log: Path, environment: dict[str, str], limit: float) -> int:
    with log.open("w+b") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT)
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
            status = 124
        file.seek(0)
        sys.stdout.write(file.read().decode(errors="replace"))
    return status


def unpack(kit: Path, place: Path) -> dict[str, str]:
    """Unpack a kit's packages and photos into `place`; returns the environment variables that make them importable.

    Raises:
        SystemExit: the packages are for another version of Python.
    """
    own = ".".join(platform.python_version_tuple()[:2])
    site = SITE.format(python=own)
    if not (kit / site).exists() and (others := sorted(file.name for file in kit.glob(SITE.format(python="*")))):
        sys.exit(f"{kit / others[0]}: packages for another Python, this is {own}; pack with --python {own}")
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    path = [str(Path.cwd()), os.environ.get("PYTHONPATH", "")]
    for name, folder in ((site, "site"), (PHOTOS, "photos")):
        if (kit / name).exists():
            with tarfile.open(kit / name) as archive:
                archive.extractall(place / folder, filter="data")
    if (place / "site").exists():
        # After the checkout, before the machine's own packages.
        path.insert(1, str(place / "site"))
    return {**environment, "PYTHONPATH": os.pathsep.join(filter(None, path))}


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 if a part failed or ran out of time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all")
    parser.add_argument("--device", choices=("cuda", "cpu"), default=os.environ.get("THAW_DEVICE", "cuda"))
    parser.add_argument("--quick", action="store_true", help="small data, to test whether it runs, not how fast")
    parser.add_argument("--seconds", type=float, default=540, help="for all parts (default: %(default)s)")
    parser.add_argument("--kit", type=Path, default=KIT, help="(default: %(default)s)")
    parser.add_argument("--to", type=Path, default=Path("results/gpu"), help="(default: %(default)s)")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown part {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    options.to.mkdir(parents=True, exist_ok=True)
    kit = options.kit.resolve()
    with tempfile.TemporaryDirectory(prefix="thaw-gpu-") as temporary:
        environment = unpack(kit, Path(temporary))
        photos = Path(temporary) / "photos"
        weights = kit / WEIGHTS
        setting = Setting(
            device=options.device,
            quick=options.quick,
            data=str(photos) if photos.exists() else "digits",
            weights=weights if weights.exists() else None,
            to=options.to.resolve(),
        )
        summary = run_parts(options.parts or list(PARTS), setting, environment, options.seconds)
    print()
    for name, part in summary.items():
        print(f"{name}: status {part['status']}, {part['seconds']} s")
    return int(any(part["status"] != 0 for part in summary.values()))


if __name__ == "__main__":
    sys.exit(main())

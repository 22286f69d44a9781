"""Device measurements beyond the other benchmarks: chunks, precision, launches, memory, reproducibility, rounding.

python -m benchmarks.gpu.probe --data DIR --weights FILE --device cuda --json probe.json
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.photos import Bench, add_options, bench, random_weights
from thaw.search.delivery.assemble import TOLERANCE, difference
from thaw.search.delivery.winner import classifier_facts
from thaw.search.prepare.preflight import Prepared, prepare
from thaw.spaces import TrialConfig
from thaw.trainables.bundles.classifier import build_classifier
from thaw.trainables.bundles.predict import store_logits
from thaw.trainables.data.augment import AUGMENTS
from thaw.trainables.data.views import render, view_parameters
from thaw.trainables.messages import EpochRow
from thaw.trainables.networks.backbone import resolve
from thaw.trainables.networks.freezing import build_network, whole_state
from thaw.trainables.training.continuation import Continuation, best_checkpoint
from thaw.trainables.training.loop import Training
from thaw.trainables.training.together import epoch_together

Figures = dict[str, Any]
DENSE = "resnet50"
"""Probed in addition to the benchmark's own network: large convolutions, which gain most from lower precision."""

BATCH, HEADS = 32, 8


@dataclass(frozen=True)
class Probe:
    """A device and a search on it.

    Args:
        bench: data and weights.
        quick: small matrices and few repetitions.
    """

    bench: Bench
    quick: bool

    @cached_property
    def device(self) -> torch.device:
        return torch.device(self.bench.device)

    @property
    def gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def name(self) -> str:
        return self.bench.architecture

    @property
    def networks(self) -> tuple[str, ...]:
        return (self.name,) if self.quick else (self.name, DENSE)

    @property
    def depths(self) -> tuple[int, ...]:
        return (5,) if self.quick else (0, 3, 5)

    def wait(self) -> None:
        if self.gpu:
            torch.cuda.synchronize()

    def seconds(self, task: Callable[[], object], repeat: int = 10) -> float:
        """Median wall seconds after a warm-up run, synchronising with the device each time."""
        task()
        times = []
        for _ in range(2 if self.quick else repeat):
            self.wait()
            started = time.perf_counter()
            task()
            self.wait()
            times.append(time.perf_counter() - started)
        return median(times)

    def prepared(self, name: str, augment: str = "none") -> Prepared:
        """A search over one network, with random weights if no file of that network is given."""
        own = name == self.bench.architecture
        weights = self.bench.weights if own else random_weights(name, self.bench.work)
        sections = {"weights": {name: str(weights)}, "training": {"architecture": name}, "data": {"augment": augment}}
        resources = {"gpu": 1.0 if self.gpu else 0.0}
        space: dict[str, Any] = {"learning_rate": [1e-3]}
        config = self.bench.config(f"{name}-{augment}", "probe", space=space, resources=resources, **sections)
        return prepare(config)

    def training(self, ready: Prepared, depth: int, **changes: Any) -> Training:
        """A trial of this search; `changes` replace fields of its context."""
        context = replace(ready.context, **changes)
        name = str(ready.config.training["architecture"])
        config = TrialConfig(architecture=name, freeze_depth=depth, epochs=3, patience=0)
        return Training(config, context, ready.images, self.device)


def row_of(training: Training) -> EpochRow:
    """Train one more epoch."""
    row = training.epoch()
    assert isinstance(row, EpochRow), row
    return row


def ceilings(probe: Probe) -> Figures:
    """GB/s of a copy within the device and of copies to it, TFLOP/s of a matrix product by precision."""
    side, size = (256, 2**20) if probe.quick else (8192, 2**30)
    there = torch.zeros(size, dtype=torch.uint8, device=probe.device)
    figures = {"copy, read and written": 2 * size / probe.seconds(there.clone) / 1e9}
    kinds = (("fp32", torch.float32, "highest"), ("tf32", torch.float32, "high"), ("bf16", torch.bfloat16, "highest"))
    for name, dtype, setting in kinds:
        torch.set_float32_matmul_precision(setting)
        a, b = (torch.randn(side, side, device=probe.device, dtype=dtype) for _ in range(2))
        figures[f"product in {name}"] = 2 * side**3 / probe.seconds(lambda a=a, b=b: a @ b, 5) / 1e12
    torch.set_float32_matmul_precision("highest")
    here = torch.zeros(size // 4, dtype=torch.uint8)
    figures["to the device"] = len(here) / probe.seconds(lambda: here.to(probe.device, copy=True), 3) / 1e9
    if probe.gpu:
        pinned = here.pin_memory()
        figures["pinned, to the device"] = len(here) / probe.seconds(lambda: pinned.to(probe.device), 3) / 1e9
    return figures


def prefix_by_chunk(probe: Probe) -> Figures:
    """Images per second of the frozen backbone, by images at a time and precision."""
    figures: Figures = {}
    size = probe.bench.image_size
    for name in probe.networks:
        weights = {name: str(random_weights(name, probe.bench.work))}
        network = build_network(TrialConfig(architecture=name, freeze_depth=5), 2, size, weights, probe.device).prefix
        half = copy.deepcopy(network).to(torch.bfloat16)
        for count in (8,) if probe.quick else (32, 64, 128, 256, 512):
            images = torch.randn(count, 3, size, size, device=probe.device).contiguous(
                memory_format=torch.channels_last
            )
            halves = images.to(torch.bfloat16)

            def tf32(network: Any = network, images: Tensor = images) -> None:
                torch.backends.cudnn.allow_tf32 = True
                network(images)
                torch.backends.cudnn.allow_tf32 = False

            def autocast(network: Any = network, images: Tensor = images) -> None:
                with torch.autocast(probe.device.type, torch.bfloat16):
                    network(images)

            torch.backends.cudnn.allow_tf32 = False
            arms: dict[str, Callable[[], object]] = {
                "fp32": lambda network=network, images=images: network(images),
                "tf32": tf32,
                "bf16, weights cast each time": autocast,
                "bf16 weights": lambda half=half, halves=halves: half(halves),
            }
            figures[f"{name}, {count} at a time"] = {
                arm: round(count / probe.seconds(task, 5)) for arm, task in arms.items()
            }
    return figures


def head_steps(probe: Probe) -> Figures:
    """Seconds of a head trial's epochs, µs and kernels a step, also of several heads together and as a CUDA graph."""
    ready = probe.prepared(probe.name)
    training = probe.training(ready, 5)
    rows = [row_of(training) for _ in range(3)]
    figures: Figures = {f"epoch {row.epoch}, seconds": row.seconds for row in rows}
    figures["µs a step"] = rows[-1].seconds["train"] / training.steps * 1e6
    heads = [probe.training(ready, 5) for _ in range(HEADS)]
    for _ in range(2):
        rows = [row for row in epoch_together(heads) if isinstance(row, EpochRow)]
    figures[f"µs a step of {HEADS} heads together"] = sum(row.seconds["train"] for row in rows) / training.steps * 1e6
    second = probe.training(ready, 5)
    figures["first epoch of the next trial, seconds"] = row_of(second).seconds
    if probe.gpu:
        figures |= _kernels(training) | _captured(probe, training)
    return figures


def _kernels(training: Training) -> Figures:
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        training._train(4, 0)
    events = profiled.key_averages()
    kernels = sum(event.count for event in events if event.device_type == torch.autograd.DeviceType.CUDA)
    device_time = sum(event.self_device_time_total for event in events)
    return {"kernels a step": kernels / training.steps, "µs a step on the device": device_time / training.steps}


def _captured(probe: Probe, training: Training) -> Figures:
    """A bare step of the head, launched kernel by kernel and as one CUDA graph."""
    labels = training.targets.shape[1]
    features = torch.randn(BATCH, resolve(probe.name, "none", probe.bench.image_size).features, device=probe.device)
    targets = torch.rand(BATCH, labels, device=probe.device).round()
    head = copy.deepcopy(training.network.tail)
    rate = torch.tensor(1e-3, device=probe.device)
    optimizer = torch.optim.AdamW(head.parameters(), lr=rate, fused=True, capturable=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=False)
        torch.nn.functional.binary_cross_entropy_with_logits(head(features), targets).backward()
        optimizer.step()

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    steps = 50
    bare = probe.seconds(lambda: [step() for _ in range(steps)], 5) / steps * 1e6
    captured = probe.seconds(lambda: [graph.replay() for _ in range(steps)], 5) / steps * 1e6
    return {"µs of a bare step": bare, "µs of a captured step": captured}


def backbone_epochs(probe: Probe) -> Figures:
    """An augmented epoch by depth and precision with nothing stored: seconds, ms per step, peak GB; its checkpoint."""
    figures: Figures = {}
    for name in probe.networks:
        ready = probe.prepared(name, "paper")
        off = replace(ready.context.cache, activations="off")
        for depth in probe.depths[:2]:
            for precision in ("fp32", "bf16"):
                if probe.gpu:
                    torch.cuda.reset_peak_memory_stats()
                training = probe.training(ready, depth, precision=precision, cache=off)
                row = [row_of(training) for _ in range(1 if probe.quick else 2)][-1]
                step = round(row.seconds["train"] / training.steps * 1e3, 2)
                figure: Figures = {**row.seconds, "ms a step": step}
                if probe.gpu:
                    figure["peak GB"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
                if depth == 0 and precision == "fp32":
                    figure["checkpoint, seconds"] = _checkpoint_seconds(probe, training, row)
                figures[f"{name}, depth {depth}, {precision}"] = figure
    return figures


def _checkpoint_seconds(probe: Probe, training: Training, row: EpochRow) -> float:
    class Folder:
        def last_file(self, trial: int) -> Path:
            return probe.bench.work / "last.safetensors"

        def best_file(self, trial: int) -> Path:
            return probe.bench.work / "best.safetensors"

    started = time.perf_counter()
    Continuation(Folder(), 0).save(training, row)
    return round(time.perf_counter() - started, 3)


def store(probe: Probe) -> Figures:
    """The cost and gain of a stored view: images per second until it is on the device, and the estimated gain."""
    ready = probe.prepared(probe.name)
    figures: Figures = {}
    for depth in (4, 5):
        fresh = replace(ready.context.cache, directory=probe.bench.work / f"store-{depth}")
        activations = probe.training(ready, depth, cache=fresh).activations
        assert activations.plan is not None
        figure: Figures = {"gain": round(activations.plan.gain, 2), "bytes an image": activations.plan.row_bytes}
        if activations.plan.stored:
            rows = ready.context.split.train
            started = time.perf_counter()
            activations.prepare(rows, 0)
            probe.wait()
            figure["images a second"] = round(len(rows) / (time.perf_counter() - started))
        figures[f"depth {depth}"] = figure
    return figures


def export_tolerance(probe: Probe) -> Figures:
    """Distance of an exported model's logits from the trial's, in units of their spread; `thaw export` has a limit."""
    ready = probe.prepared(probe.name, "paper")
    figures: Figures = {"limit": TOLERANCE}
    for depth in probe.depths:
        for precision in ("fp32", "bf16"):
            training = probe.training(ready, depth, precision=precision)
            best = best_checkpoint(training, [row_of(training) for _ in range(2)][-1])
            trained = {name: tensor.cpu() for name, tensor in best.state.items()}
            backbone = resolve(probe.name, ready.context.weights, ready.context.images.size)
            state = whole_state(best.config, trained, backbone)
            for place in dict.fromkeys(("cpu", probe.device.type)):
                classifier = build_classifier(classifier_facts(ready, best.config), state).to(place)
                rows = slice(0, 96)
                logits = store_logits(classifier, ready.images.pixels, best.rows[rows], torch.device(place))
                figures[f"depth {depth}, {precision}, on {place}"] = difference(logits, best.logits[rows])
    return figures


def repeats_itself(probe: Probe) -> Figures:
    """Whether a trial gives the same results twice, to the bit, plain and with `deterministic: true`; its seconds."""
    ready, figures = probe.prepared(probe.name, "paper"), {}
    for depth in probe.depths:
        for deterministic in (False, True):
            twice = [probe.training(ready, depth, deterministic=deterministic) for _ in range(2)]
            one, other = ([row_of(training) for _ in range(2)] for training in twice)
            figures[f"depth {depth}{', deterministic' if deterministic else ''}"] = {
                "same": [row.metrics for row in one] == [row.metrics for row in other],
                "val_loss": [rows[-1].metrics["val_loss"] for rows in (one, other)],
                "train, seconds": other[-1].seconds["train"],
            }
    return figures


def rendering(probe: Probe) -> Figures:
    """Images rendered per second from host memory and from device memory, plain and augmented."""
    ready = probe.prepared(probe.name)
    rows, look = ready.context.split.train, resolve(probe.name, "none", probe.bench.image_size).preprocessing
    batches = [rows[start : start + BATCH] for start in range(0, len(rows) - BATCH + 1, BATCH)]
    resident = torch.from_numpy(np.array(ready.images.pixels)).to(probe.device)

    def send(tensor: Tensor) -> Tensor:
        return tensor.pin_memory().to(probe.device, non_blocking=True) if probe.gpu else tensor

    sources: dict[str, Callable[[np.ndarray], Tensor]] = {
        "host": lambda part: send(torch.from_numpy(ready.images.pixels[part])),
        "device": lambda part: resident[send(torch.from_numpy(part))],
    }

    def epoch(source: str, augmented: bool) -> None:
        for part in batches:
            matrices = send(view_parameters(AUGMENTS["paper"], 0, 0, part)) if augmented else None
            render(sources[source](part), matrices, look.mean, look.std)

    return {
        f"{source}, {'augmented' if augmented else 'plain'}": BATCH
        * len(batches)
        / probe.seconds(lambda source=source, augmented=augmented: epoch(source, augmented), 3)
        for source in sources
        for augmented in (False, True)
    }


PROBES: tuple[Callable[[Probe], Figures], ...] = (
    ceilings,
    export_tolerance,
    repeats_itself,
    store,
    head_steps,
    prefix_by_chunk,
    backbone_epochs,
    rendering,
)
"""In order of importance."""


def main(arguments: Sequence[str] | None = None) -> dict[str, Figures]:
    """Run all probes; a failing probe reports its error and the others continue."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, images=None)
    options = parser.parse_args(arguments)
    report: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="thaw-probe-") as temporary:
        probe = Probe(bench(options, options.work or Path(temporary)), quick=options.image_size < 128)
        for task in PROBES:
            started = time.perf_counter()
            try:
                report[task.__name__] = task(probe)
            except Exception as error:
                traceback.print_exc()
                report[task.__name__] = {"error": f"{type(error).__name__}: {error}"}
            print(f"\n{task.__name__}: {task.__doc__} ({time.perf_counter() - started:.1f} s)")
            for name, figure in report[task.__name__].items():
                print(f"  {name}: {figure:.4g}" if isinstance(figure, float) else f"  {name}: {figure}", flush=True)
            gc.collect()
            if probe.gpu:
                torch.cuda.empty_cache()
            if options.json:  # after each probe, because time may run out
                options.json.write_text(json.dumps(report, indent=1) + "\n")
    return report


if __name__ == "__main__":
    main()

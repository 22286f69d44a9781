"""How close Thaw comes to the limits of the machine, and where the time of a run is spent.

python -m benchmarks.limits --data ../shared/data/coco18 --weights ../shared/weights/mobilenet_v2-imagenet.pth
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from benchmarks.breakdown import breakdown, print_breakdown
from benchmarks.machine import machine, print_table
from benchmarks.overhead import overhead
from benchmarks.photos import Bench, add_options, bench, random_weights
from benchmarks.session import running_ray
from thaw.search.prepare.preflight import prepare
from thaw.spaces import TrialConfig
from thaw.trainables.context import RunContext
from thaw.trainables.data.image_store import ImageStore
from thaw.trainables.device import compute_in
from thaw.trainables.evaluation.metrics import average_precision
from thaw.trainables.networks.backbone import resolve
from thaw.trainables.networks.chunks import MOST, chunk_size
from thaw.trainables.networks.freezing import build_network, run_prefix
from thaw.trainables.training.loop import EVALUATION_BATCH, Training
from thaw.trainables.training.losses import probabilities
from thaw.trainables.training.optim import build_optimizer

Figures = dict[str, Any]
HEAD = {"learning_rate": [1e-3], "dropout": [0.2]}


def seconds(*tasks: Callable[[], object], repeat: int, device: torch.device) -> list[float]:
    """Median seconds of each task; the tasks take turns, so that load on the machine affects all.

    On a CPU, processor time; on a GPU, wall time until the device is done.
    """
    clock = time.process_time if device.type == "cpu" else _clock_of_gpu
    times: list[list[float]] = [[] for _ in tasks]
    for _ in range(repeat):
        for task, own in zip(tasks, times, strict=True):
            started = clock()
            task()
            own.append(clock() - started)
    return [median(own) for own in times]


def _clock_of_gpu() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def prefix(bench: Bench, repeat: int) -> Figures:
    """The share of the machine's rate that the frozen ResNet50 reaches: fp32, 128 pixels, one thread.

    That rate is the faster one of a product of matrices and a convolution. With AVX-512 on AMD's processors, the
    convolution is more than twice as fast.
    """
    name, size, device = "resnet50", 128, torch.device(bench.device)
    frozen = _frozen(name, size, random_weights(name, bench.work), device)
    images = _images(MOST, size, device)
    side = 1024 if device.type == "cpu" else 8192
    a, b = torch.randn(2, side, side, device=device)
    kernel, maps = torch.randn(256, 256, 3, 3, device=device), torch.randn(MOST, 256, 16, 16, device=device)
    kernel, maps = (tensor.to(memory_format=torch.channels_last) for tensor in (kernel, maps))
    compute_in("fp32")
    run_prefix(frozen, images)
    tasks = (lambda: torch.mm(a, b), lambda: conv2d(maps, kernel, padding=1), lambda: run_prefix(frozen, images))
    of_mm, of_conv, of_prefix = seconds(*tasks, repeat=repeat, device=device)
    convolved = 2 * maps.numel() * kernel[0].numel()
    flop = 2 * MOST * sum(stage.macs for stage in resolve(name, "none", size).cost.stages)
    rates = {"mm_gflops": 2 * side**3 / of_mm / 1e9, "conv_gflops": convolved / of_conv / 1e9}
    reached = flop / of_prefix / 1e9
    return {**rates, "prefix_gflops": reached, "share": reached / max(rates.values())}


def chunks(bench: Bench, repeat: int) -> Figures:
    """Images per second of the frozen backbone by chunk size; one thread."""
    size, device = bench.image_size, torch.device(bench.device)
    parts = (2, 4, 8, 16, 32, 64) if device.type == "cpu" else (16, 32, 64, 128, 256, 512)
    count = parts[-1]
    frozen, images = _frozen(bench.architecture, size, bench.weights, device), _images(count, size, device)

    def by(part: int) -> Callable[[], object]:
        return lambda: [frozen(images[start : start + part]) for start in range(0, count, part)]

    of_parts = seconds(*map(by, parts), repeat=repeat, device=device)
    rates = {f"{part} at a time": count / of_part for part, of_part in zip(parts, of_parts, strict=True)}
    return {**rates, "chosen": chunk_size(device.type, size)}


def _frozen(name: str, size: int, weights: Path, device: torch.device) -> nn.Module:
    network = build_network(TrialConfig(architecture=name, freeze_depth=5), 2, size, {name: str(weights)}, device)
    return network.prefix


def _images(count: int, size: int, device: torch.device) -> Tensor:
    return torch.randn(count, 3, size, size, device=device).contiguous(memory_format=torch.channels_last)


def _context(bench: Bench, depth: int) -> tuple[TrialConfig, RunContext, ImageStore]:
    training = {"freeze_depth": depth, "epochs": 8, "patience": 0, "architecture": bench.architecture}
    config = bench.config(f"trial-{depth}", "limits", space=HEAD, training=training)
    context = prepare(config).context
    return config.search_space.config(config.search_space.grid()[0]), context, context.images.open()


def head_trial(bench: Bench, repeat: int) -> Figures:
    """A head trial of 8 epochs with stored activations, against a bare loop on arrays in memory."""
    config, context, images = _context(bench, depth=5)
    split, device = context.split, torch.device(bench.device)

    def thaw() -> Training:
        training = Training(config, context, images, device)
        for _ in range(config.epochs):
            training.epoch()
        return training

    activations = thaw().activations  # stored from here on
    inputs = {"train": activations.batch(split.train, 0), "validation": activations.batch(split.validation, None)}
    targets = {name: torch.from_numpy(context.labels[getattr(split, name)]).to(device).float() for name in inputs}
    ours, bare = seconds(thaw, lambda: _bare_loop(config, context, inputs, targets), repeat=repeat, device=device)
    return {"thaw_seconds": ours, "bare_seconds": bare, "ratio": ours / bare}


def _bare_loop(config: TrialConfig, context: RunContext, inputs: dict[str, Tensor], targets: dict[str, Tensor]) -> None:
    """The minimum needed to train this head: batches by index, loss, fused AdamW, and mAP after each epoch."""
    size, device = context.images.size, inputs["train"].device
    head = build_network(config, context.labels.shape[1], size, context.weights, device).tail
    loss_of = torch.nn.functional.binary_cross_entropy_with_logits
    optimizer = build_optimizer(config, list(head.parameters()), [])
    for _ in range(config.epochs):
        head.train()
        for rows in torch.randperm(len(inputs["train"])).split(config.batch_size):
            loss = loss_of(head(inputs["train"][rows]), targets["train"][rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        head.eval()
        with torch.no_grad():
            logits = torch.cat([head(part) for part in inputs["validation"].split(EVALUATION_BATCH)])
            average_precision(probabilities(logits, config.loss), targets["validation"]).nanmean().item()


def bandwidth(bench: Bench, repeat: int) -> Figures:
    """GB/s of random batches of 32 from the stores, as training reads them: pixels from the page cache, activations
    from where they are kept for the device."""
    config, context, images = _context(bench, depth=4)
    device = torch.device(bench.device)
    training = Training(config, context, images, device)
    training.activations.prepare(context.split.train, 0)
    order = np.random.default_rng(0).permutation(context.split.train)
    batches = [order[start : start + 32] for start in range(0, len(order), 32)]
    features = training.activations.batch(batches[0], 0)
    row_bytes = {"pixels": images.pixels[0].nbytes, "activations": features[0].numel() * features.element_size()}
    times = seconds(
        lambda: [images.pixels[rows] for rows in batches],
        lambda: list(training.activations.batches(batches, 0)),
        repeat=repeat,
        device=device,
    )
    pixels, activations = (
        len(order) * row_bytes[name] / elapsed / 1e9 for name, elapsed in zip(row_bytes, times, strict=True)
    )
    return {"pixels_gb_s": pixels, "activations_gb_s": activations}


STORED = {"prefix": prefix, "chunks": chunks, "head_trial": head_trial, "bandwidth": bandwidth}
"""Measurements that do not need Ray."""

TABLES = (*STORED, "overhead", "breakdown")


def _title(task: Callable[..., Figures]) -> str:
    return " ".join((task.__doc__ or "").split())


def main(arguments: Sequence[str] | None = None) -> dict[str, Figures]:
    """Run the benchmark; returns all figures as JSON values."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, images=None)
    parser.add_argument("--repeat", type=int, default=7, help="repetitions per median (default: %(default)s)")
    parser.add_argument("--trials", type=int, default=50, help="number of empty and head trials (default: %(default)s)")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES, help="default: all")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="thaw-limits-") as temporary:
        common = bench(options, options.work or Path(temporary))
        report: dict[str, Figures] = {"machine": machine()}
        print_table("Machine", ["", ""], list(report["machine"].items()))
        for name, task in STORED.items():
            if name in options.tables:
                report[name] = task(common, options.repeat)
                print_table(_title(task), ["", ""], list(report[name].items()))
        if "overhead" in options.tables:
            with running_ray(common.concurrency):
                report["overhead"] = overhead(common, options.trials)
            print_table(_title(overhead), ["", ""], list(report["overhead"].items()))
        if "breakdown" in options.tables:
            report["breakdown"] = breakdown(common)
            print_breakdown(report["breakdown"])
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return report


if __name__ == "__main__":
    main()

"""The schema of the search file: every key with its default, range and meaning.

``docs/reference.md`` is generated from it by ``make reference``.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from thaw.search.settings.data_section import DataConfig, Section
from thaw.search.settings.names import ALGORITHMS, LEARNING, SCHEDULERS, TRACKERS, OneOf
from thaw.search.settings.units import LONGEST_NAME, Bytes, PathText, Seconds, different, run_name, word_off
from thaw.search.settings.yaml_file import yaml_text
from thaw.spaces import METRICS, SearchSpace, pretrained
from thaw.spaces.costs import COSTS
from thaw.spaces.trial import NamedWeights
from thaw.spaces.words import counted

_VALIDATION = tuple(f"val_{name}" for name in METRICS)


class AlgorithmConfig(Section):
    """What is tried, how often, and what "best" means."""

    algorithm: Annotated[str, OneOf(ALGORITHMS)] = Field("auto", description="how configurations are proposed")
    metric: Annotated[str, OneOf(_VALIDATION)] = Field(
        "val_map", description="validation metric of a trial's best epoch; its direction follows from the metric"
    )
    objectives: tuple[Annotated[str, OneOf([*_VALIDATION, *COSTS])], ...] = Field(
        (),
        strict=False,
        description="several objectives: a metric, which replaces `metric`, and costs to be minimised: `seconds`, "
        "`parameters`, `macs`, `latency`, explained below",
    )
    trials: int | None = Field(
        None, ge=1, le=1_000_000, description="number of trials; by default 32, for a grid every cell"
    )
    time_budget: Seconds | None = Field(None, gt=0, description="time after which the search stops, over all sessions")
    concurrency: int | None = Field(
        None, ge=1, le=100_000, description="concurrent trials; by default as many as the resources allow"
    )
    seed: int = Field(
        0, ge=0, lt=2**32, description="seed of proposals, initial weights, order of images and augmentation"
    )
    start_with: tuple[dict[str, Any], ...] = Field(
        (),
        strict=False,
        description="configurations to try first, written here or as a path: a run folder (its best trial) or a "
        "YAML file, such as the output of `thaw best`; the algorithm proposes what they leave out",
    )
    learn_from: Annotated[tuple[PathText, ...], AfterValidator(different)] = Field(
        (),
        strict=False,
        description="run folders on the same data (`--from`), whose trials `auto`, `tpe` and `gp` learn from before "
        "their first proposal; they count towards no budget and appear in no table of this run",
    )

    @model_validator(mode="before")
    @classmethod
    def _first_objective(cls, written: Any) -> Any:
        """The first objective is the metric if none is named."""
        objectives = written.get("objectives") if isinstance(written, dict) else None
        if isinstance(objectives, list | tuple) and objectives and objectives[0] in _VALIDATION:
            return {"metric": objectives[0], **written}
        return written

    @property
    def costs(self) -> tuple[str, ...]:
        """The objectives other than the metric."""
        return self.objectives[1:]

    @model_validator(mode="after")
    def _objectives_go_together(self) -> AlgorithmConfig:
        if not self.objectives:
            return self
        first, *costs = self.objectives
        if first in COSTS or not {*costs} <= {*COSTS} or len({*costs}) < len(costs):
            raise ValueError(
                f"objectives must be a metric and then different costs ({', '.join(COSTS)}), got "
                f"{', '.join(self.objectives)}"
            )
        if first != self.metric:
            raise ValueError(
                f"the first of objectives is the metric, got {first} and metric: {self.metric}; leave metric out, "
                "or begin objectives with it"
            )
        if costs and self.learn_from:
            raise ValueError(
                "learn_from (--from) goes with one objective, as costs of another run were measured elsewhere; "
                "remove it, or name one objective"
            )
        return self

    @model_validator(mode="after")
    def _startable(self) -> AlgorithmConfig:
        if self.algorithm == "grid" and self.start_with:
            raise ValueError(
                "start_with cannot be used with algorithm: grid, which tries every cell anyway; remove one"
            )
        if self.learn_from and self.algorithm not in LEARNING:
            raise ValueError(
                f"learn_from (--from) goes with an algorithm that learns from trials ({', '.join(LEARNING)}), not with "
                f"{self.algorithm}; choose one of them, or remove it"
            )
        if self.trials is not None and len(self.start_with) > self.trials:
            raise ValueError(
                f"start_with holds {counted(len(self.start_with), 'configuration')} for "
                f"{counted(self.trials, 'trial')}; raise trials"
            )
        return self


class SchedulerConfig(Section):
    """Which trials stop early. A type alone may be written without its key, as in `scheduler: none`."""

    type: Annotated[str, OneOf(SCHEDULERS)] = Field("percentile", description="the rule that stops trials")
    grace_period: int = Field(
        1, ge=1, description="epochs before a trial can be stopped; for `asha` and `asha_promotion` the first rung"
    )
    reduction_factor: int = Field(
        3, ge=2, description="`asha`, `asha_promotion`: one trial in this many continues, and rungs grow by this factor"
    )

    @model_validator(mode="before")
    @classmethod
    def _type_alone(cls, written: Any) -> Any:
        return {"type": written} if isinstance(written, str) else written


class ResourcesConfig(Section):
    """The resources of one trial."""

    cpu: int = Field(1, ge=1, description="processor cores per trial")
    gpu: float | None = Field(
        None, ge=0, le=1, description="share of one GPU per trial; by default 1 if there is a GPU, else 0"
    )
    heads_per_trial: int = Field(
        1,
        ge=1,
        le=1_000,
        description="heads of equal shape that are trained together, with the resources of one trial: for searches "
        "with `freeze_depth: 5` on a GPU, with `--backend inline`; results differ only by rounding, on a GPU also by "
        "different dropout masks",
    )


class CacheConfig(Section):
    """Activations: the output of a network's frozen part is computed once and kept for all trials."""

    activations: Annotated[Literal["auto", "fp16", "off"], BeforeValidator(word_off)] = Field(
        "auto",
        description="`auto` stores them where it pays off, with bit-identical results (on a processor, in fp32); "
        "`fp16` takes half the space and is not exact; `off` recomputes everything",
    )
    directory: PathText = Field("~/.cache/thaw", description="folder on each machine; may be deleted between searches")
    budget: Bytes = Field(20 * 10**9, ge=0, description="largest size of the stored activations")
    share: Literal["node", "cluster"] = Field(
        "node",
        description="`node`: each machine of a cluster computes its own activations; `cluster`: each activation is "
        "computed by one machine and fetched by the others, as long as that is measured to be faster",
    )


class CheckpointsConfig(Section):
    """Weights of the best trials, kept in the run folder."""

    keep: int = Field(5, ge=0, description="number of best trials that keep the weights of their best epoch")
    budget: Bytes = Field(10 * 10**9, ge=0, description="largest size of all checkpoints")


class SearchConfig(Section):
    """A whole search file."""

    name: Annotated[str, AfterValidator(run_name)] = Field(
        max_length=LONGEST_NAME, description="name of the run and of its folder"
    )
    preset: str | None = Field(None, description="a search included in Thaw; the file's own keys override it")
    data: DataConfig = Field(description="the images and their labels")
    weights: NamedWeights | dict[str, PathText] = Field(
        "imagenet",
        description="pretrained weights: one word for all architectures, or by architecture `imagenet`, `none`, a file "
        "(`.pth` or `.safetensors`, with or without a classifier), the folder of a snapshot (as downloaded from "
        "Hugging Face), or `hf-hub:ORG/NAME`",
    )
    space: dict[str, Any] = Field({}, description="the searched hyperparameters")
    training: dict[str, Any] = Field({}, description="the fixed hyperparameters")
    search: AlgorithmConfig = Field(AlgorithmConfig(), description="what is tried, how often, and by which metric")
    scheduler: SchedulerConfig = Field(SchedulerConfig(), description="which trials stop early")
    resources: ResourcesConfig = Field(ResourcesConfig(), description="the resources of one trial")
    precision: Literal["fp32", "tf32", "bf16", "auto"] | None = Field(
        None,
        description="arithmetic of training: `fp32`, `tf32` (products of float32 numbers rounded to 10 bits, on GPUs "
        "that support it), `bf16`; `auto`: for each architecture the fastest, as measured before the search, or the "
        "more exact one if the gain is small; by default `tf32` if trials use a GPU that supports it, else `fp32`",
    )
    deterministic: bool = Field(
        False,
        description="bit-reproducible results on a GPU, too, if it is of the same kind; on a processor they always "
        "are. Slower, and a trial with an operation that a GPU cannot repeat exactly fails and names it",
    )
    threshold: float = Field(0.5, gt=0, lt=1, description="probability from which a label counts as predicted")
    cache: CacheConfig = Field(CacheConfig(), description="stored activations")
    checkpoints: CheckpointsConfig = Field(CheckpointsConfig(), description="stored weights of the best trials")
    max_failures: int = Field(
        2,
        ge=0,
        le=1_000,
        description="how many times a trial continues after losing its worker or node; its own errors end it at once",
    )
    trackers: Annotated[tuple[Annotated[str, OneOf(TRACKERS)], ...], Field(strict=False), AfterValidator(different)] = (
        Field(
            (),
            description="services that the search is reported to: `mlflow`, `wandb`, each an optional extra, "
            "configured by its usual environment variables; a lost connection never affects the search",
        )
    )
    output: PathText = Field("results", description="folder for run folders, relative to the current folder")

    def pretrained(self, architecture: str) -> bool:
        """Whether `architecture` starts from pretrained weights."""
        return pretrained(architecture, self.weights)

    @cached_property
    def search_space(self) -> SearchSpace:
        return SearchSpace.parse(self.space, self.training, self.pretrained)

    @property
    def trials(self) -> int:
        """Number of trials: every cell of a grid, 32 otherwise, unless the file gives a number."""
        if self.search.algorithm != "grid":
            return self.search.trials or 32
        cells = len(self.search_space.grid())
        return min(self.search.trials or cells, cells)

    def to_yaml(self) -> str:
        """The resolved search file, with every default; loading it gives an equal configuration."""
        return yaml_text(self.model_dump(mode="json"))


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a key of this type may hold, if any."""
    candidates = (annotation, *get_args(annotation))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)

"""The schema of the search file: every key with its default, range and meaning.

``docs/reference.md`` is generated from it by ``make reference``.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from thaw.search.settings.names import ALGORITHMS, LEARNING, SCHEDULERS, TRACKERS, OneOf
from thaw.search.settings.units import Bytes, PathText, Seconds, word_off
from thaw.spaces import METRICS, SearchSpace, pretrained
from thaw.spaces.costs import COSTS
from thaw.trainables.data.augment import AUGMENTS, Augment
from thaw.trainables.data.decoding import INTERPOLATIONS, RESIZE, Square
from thaw.trainables.data.formats import READERS
from thaw.trainables.data.reading import REPEATED_ROWS, UNCERTAIN


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class SplitConfig(_Section):
    """How images are split. The test split stays locked: only `thaw export` and `thaw train` use it."""

    validation: float = Field(0.2, gt=0, lt=1, description="share of the images used to compare trials")
    test: float = Field(0.1, ge=0, lt=1, description="share of the images locked until a model is exported")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of the random split, which is stratified over all labels")
    column: str | None = Field(
        None,
        description="column of the label file that names each image's part (train, val, test and the like), or holds "
        "yes and no under a heading such as `is_valid`",
    )
    group: str | None = Field(
        None,
        description="column of the label file; images with the same value go into the same part, images without a "
        "value into any",
    )
    duplicates: Literal["together", "apart"] = Field(
        "together", description="images with equal pixels: `together` in one part, or split as if they differed"
    )


class ColumnsConfig(_Section):
    """The columns of a table of labels. Columns not named here are recognised by headings and cells."""

    image: str | None = Field(None, description="column of the file names")
    labels: str | Annotated[tuple[str, ...], Field(strict=False)] = Field(
        (), description="column of the labels, or a list of columns: of 0 and 1, or of one label each"
    )


class DataConfig(_Section):
    """The images and their labels. Relative paths start from the search file's folder."""

    builtin: Literal["digits"] | None = Field(
        None, description="a data set included in Thaw, instead of `images` and `labels`"
    )
    source: str | None = Field(
        None,
        description="a data set that Python code has registered (`thaw.register_data_source`, `--import FILE.py`), "
        "instead of `images` and `labels`",
    )
    images: PathText | None = Field(
        None,
        description="folder of the images; one elsewhere (`s3://…`, `gs://…`, `https://…`, by fsspec) is copied once "
        "to each machine; or a data set that Hugging Face's `datasets` has saved to disk, labels included",
    )
    labels: PathText | None = Field(
        None, description="label file, or the folder of VOC files; none if `images` holds a folder per label"
    )
    format: Annotated[str, OneOf(["auto", *READERS])] = Field(
        "auto", description="format of the labels; `auto` recognises it from the file"
    )
    classes: PathText | None = Field(
        None,
        description="file that names the labels and gives their order: JSON (`{id: name}`, `{name: id}` or a list), a "
        "table of ids and names, or a text file with one name per line",
    )
    encoding: str = Field(
        "auto",
        description="encoding of label file and class names, by Python's name for it, such as `cp932` (Japanese) or "
        "`gb18030` (Chinese); `auto` takes UTF-8, UTF-16 with its mark, and Windows-1252 where it reads well, which is "
        "said",
    )
    columns: ColumnsConfig = Field(ColumnsConfig(), description="which columns of a table of labels hold what")
    separator: str = Field(
        "auto",
        min_length=1,
        description="separator of several labels in a cell: `auto` uses `|`, `;`, a comma or blanks if the parts also "
        "occur alone or in other combinations, `none` takes each cell as one label, any other text is the separator",
    )
    rows: Annotated[str, OneOf(REPEATED_ROWS)] = Field(
        "unique",
        description="several rows of an image: `unique` uses equal rows once and rejects an image with different ones, "
        "`add` gives it the labels of all its rows (one row per box or label)",
    )
    uncertain: Annotated[str, OneOf(UNCERTAIN)] = Field(
        "negative",
        description="meaning of -1 next to 1, 0 and blanks: `negative`, `positive`, or `drop` to leave the image out",
    )
    image_size: int = Field(224, ge=32, le=1024, description="side length in pixels of the squares that networks see")
    resize: Annotated[str, OneOf(RESIZE)] = Field(
        "crop", description="`crop` scales the short side and crops the centre, `squash` scales both sides and distorts"
    )
    interpolation: Annotated[str, OneOf(["auto", *INTERPOLATIONS])] = Field(
        "auto",
        description="filter for scaling images; `auto`: that of the pretrained weights, `bilinear` if there are none "
        "or the networks of a search have different ones",
    )
    crop_pct: Literal["auto"] | Annotated[float, Field(gt=0, le=1)] = Field(
        "auto",
        description="share of an image's side that is kept around the centre; `auto`: that of the pretrained weights, "
        "1 if there are none or the networks of a search have different ones",
    )
    augment: Annotated[str, OneOf(AUGMENTS)] | Augment = Field(
        "paper", description="random augmentation of training images: a name, or your own ranges"
    )
    views: Literal["each_epoch"] | Annotated[int, Field(ge=1)] = Field(
        "each_epoch",
        description="`each_epoch`: a new view in every epoch, the same for all trials; K: epoch e uses view e mod K",
    )
    split: SplitConfig = Field(SplitConfig(), description="training, validation and test images")
    max_rejected: float = Field(
        0.05, ge=0, le=1, description="largest share of unusable images; with more, the search does not start"
    )
    timeout: float = Field(60.0, gt=0, description="seconds after which reading a file is given up")
    white: Annotated[float, Field(gt=0)] | Annotated[tuple[float, float], Field(strict=False)] | None = Field(
        None,
        description="the value that is white in grey images of more than 8 bits, such as 4095, or [black, white], "
        "such as [-1000, 400]; without it, one scale for all is chosen from the data",
    )

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        try:
            "".encode("utf-8" if encoding == "auto" else encoding)
        except (LookupError, ValueError):
            raise ValueError("must be auto or an encoding that Python knows, such as utf-8, cp932 or gb18030") from None
        return encoding

    @field_validator("white")
    @classmethod
    def _ascending(cls, white: float | tuple[float, float] | None) -> float | tuple[float, float] | None:
        if isinstance(white, tuple) and not white[0] < white[1]:
            raise ValueError("must be [black, white] with black below white")
        return white

    @model_validator(mode="after")
    def _one_source(self) -> DataConfig:
        if sum(place is not None for place in (self.builtin, self.images, self.source)) != 1:
            raise ValueError("needs one of images (a folder, with labels), builtin: digits, or source (from Python)")
        return self

    @property
    def square(self) -> Square:
        """How images become squares; a key that is still `auto` has its default."""
        known = {name: value for name in ("interpolation", "crop_pct") if (value := getattr(self, name)) != "auto"}
        return Square(self.image_size, self.resize, **known)


_VALIDATION = tuple(f"val_{name}" for name in METRICS)


class AlgorithmConfig(_Section):
    """What is tried, how often, and what "best" means."""

    algorithm: Annotated[str, OneOf(ALGORITHMS)] = Field("auto", description="how configurations are proposed")
    metric: Annotated[str, OneOf(_VALIDATION)] = Field(
        "val_map", description="validation metric of a trial's best epoch; its direction follows from the metric"
    )
    objectives: tuple[Annotated[str, OneOf([*_VALIDATION, *COSTS])], ...] = Field(
        (),
        strict=False,
        description="several objectives: a metric, which takes the place of `metric`, and costs that are to be small: "
        "`seconds`, `parameters`, `macs`, `latency`, listed below",
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
    learn_from: tuple[PathText, ...] = Field(
        (),
        strict=False,
        description="run folders on the same data (`--from`), whose trials `auto`, `tpe` and `gp` learn from before "
        "their first proposal; they count for no budget and in no table of this run",
    )

    @model_validator(mode="before")
    @classmethod
    def _first_objective(cls, written: Any) -> Any:
        """The first objective is the metric, where no metric is named."""
        objectives = written.get("objectives") if isinstance(written, dict) else None
        if isinstance(objectives, list | tuple) and objectives and objectives[0] in _VALIDATION:
            return {"metric": objectives[0], **written}
        return written

    @property
    def costs(self) -> tuple[str, ...]:
        """The objectives beside the metric."""
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
                f"the first of objectives is the metric, got {first} beside metric: {self.metric}; leave metric out, "
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
                f"start_with holds {len(self.start_with)} configurations for {self.trials} trials; raise trials"
            )
        return self


class SchedulerConfig(_Section):
    """Which trials stop early. A type alone may be written without its key, as in `scheduler: none`."""

    type: Annotated[str, OneOf(SCHEDULERS)] = Field("median", description="the rule that stops trials")
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


class ResourcesConfig(_Section):
    """The resources of one trial."""

    cpu: int = Field(1, ge=1, description="processor cores per trial")
    gpu: float | None = Field(
        None, ge=0, le=1, description="share of one GPU per trial; by default 1 if there is a GPU, else 0"
    )


class CacheConfig(_Section):
    """Activations: the output of a network's frozen part is computed once and kept for all trials."""

    activations: Annotated[Literal["auto", "fp16", "off"], BeforeValidator(word_off)] = Field(
        "auto",
        description="`auto` stores them where it pays off, with bit-identical figures (on a processor, in fp32); "
        "`fp16` takes half the space and is not exact; `off` recomputes everything",
    )
    directory: PathText = Field("~/.cache/thaw", description="folder on each machine; may be deleted between searches")
    budget: Bytes = Field(20 * 10**9, ge=0, description="largest size of the stored activations")


class CheckpointsConfig(_Section):
    """Weights of the best trials, kept in the run folder."""

    keep: int = Field(5, ge=0, description="number of best trials that keep the weights of their best epoch")
    budget: Bytes = Field(10 * 10**9, ge=0, description="largest size of all checkpoints")


class SearchConfig(_Section):
    """A whole search file."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100, description="name of the run and of its folder"
    )
    preset: str | None = Field(None, description="a search included in Thaw; the file's own keys override it")
    data: DataConfig = Field(description="the images and their labels")
    weights: Literal["imagenet", "none"] | dict[str, PathText] = Field(
        "imagenet",
        description="pretrained weights: one word for all architectures, or by architecture `imagenet`, `none`, a file "
        "(`.pth` or `.safetensors`, with or without a classifier), the folder of a snapshot, or `hf-hub:ORG/NAME`",
    )
    space: dict[str, Any] = Field({}, description="the searched hyperparameters")
    training: dict[str, Any] = Field({}, description="the fixed hyperparameters")
    search: AlgorithmConfig = Field(AlgorithmConfig(), description="what is tried, and what counts as better")
    scheduler: SchedulerConfig = Field(SchedulerConfig(), description="which trials stop early")
    resources: ResourcesConfig = Field(ResourcesConfig(), description="the resources of one trial")
    precision: Literal["fp32", "tf32", "bf16", "auto"] | None = Field(
        None,
        description="arithmetic of training: `fp32`, `tf32` (products of float32 numbers rounded to 10 bits, on GPUs "
        "that support it), `bf16`; `auto`: for each architecture the one that is clearly faster on this machine, else "
        "the more exact one, as measured before the search; by default tf32 if trials use a GPU that supports it, "
        "else fp32",
    )
    deterministic: bool = Field(
        False,
        description="figures that repeat to the bit on a GPU of the same kind, too, as they do on a processor anyway: "
        "slower, and a trial with an operation that a GPU cannot repeat fails and names it",
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
    trackers: Annotated[tuple[Annotated[str, OneOf(TRACKERS)], ...], Field(strict=False)] = Field(
        (),
        description="services that the search is reported to: `mlflow`, `wandb`, each an optional extra, configured by "
        "its usual environment variables; a lost connection never affects the search",
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
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a key of this type may hold, if any."""
    candidates = (annotation, *get_args(annotation))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)

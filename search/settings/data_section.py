"""The section `data` of the search file, and what all sections have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from thaw.search.settings.names import OneOf
from thaw.search.settings.units import PathText, different
from thaw.trainables.data.augment import AUGMENTS, Augment
from thaw.trainables.data.decoding import INTERPOLATIONS, RESIZE, Square
from thaw.trainables.data.formats import READERS
from thaw.trainables.data.reading import REPEATED_ROWS, UNCERTAIN


class Section(BaseModel):
    """Unknown keys are refused, and nothing is converted in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


PREPROCESSING = ("resize", "interpolation", "crop_pct")
"""The keys of `data` that follow the pretrained weights unless they are given."""


class SplitConfig(Section):
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


class ColumnsConfig(Section):
    """The columns of a table of labels. Columns not named here are recognised by headings and cells."""

    image: str | None = Field(None, description="column of the file names")
    labels: str | Annotated[tuple[str, ...], Field(strict=False), AfterValidator(different)] = Field(
        (), description="column of the labels, or a list of columns: of 0 and 1, or of one label each"
    )

    @model_validator(mode="after")
    def _apart(self) -> ColumnsConfig:
        if self.image is not None and self.image in (self.labels if isinstance(self.labels, tuple) else (self.labels,)):
            raise ValueError(f"image and labels must be different columns, got {self.image} for both; change one")
        return self


_OF_FILES = ("labels", "format", "classes", "encoding", "columns", "separator", "rows", "uncertain")
"""Keys that say how labels are read from files."""


class DataConfig(Section):
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
        description="folder of the images; a remote one (`s3://…`, `gs://…`, `https://…`, by fsspec) is copied once to "
        "each machine; or a data set saved to disk by Hugging Face's `datasets`, with its labels",
    )
    labels: PathText | None = Field(
        None,
        description="label file, or a folder of annotations (VOC, YOLO, LabelMe); none if `images` holds a folder per "
        "label",
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
        description="encoding of label file and class names: a Python codec, such as `cp932` (Japanese) or `gb18030` "
        "(Chinese); `auto` accepts UTF-8, UTF-16 with a byte order mark, and Windows-1252 if text reads well in it, "
        "with a note",
    )
    columns: ColumnsConfig = Field(ColumnsConfig(), description="the roles of the columns in a table of labels")
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
    resize: Annotated[str, OneOf(["auto", *RESIZE])] = Field(
        "auto",
        description="`crop` scales the short side and crops the centre, `squash` scales both sides and distorts, `pad` "
        "scales the long side and pads with grey; `auto`: that of the pretrained weights, `crop` if there are none or "
        "the networks of a search have different ones",
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
    timeout: float = Field(60.0, gt=0, description="seconds after which reading a file is abandoned")
    white: Annotated[float, Field(gt=0)] | Annotated[tuple[float, float], Field(strict=False)] | None = Field(
        None,
        description="the value of white in grey images with more than 8 bits, such as 4095, or [black, white], "
        "such as [-1000, 400]; by default one scale for all images is determined from the data",
    )

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        try:
            "".encode("utf-8" if encoding == "auto" else encoding)
        except (LookupError, ValueError):
            raise ValueError(
                "must be auto or an encoding that Python supports, such as utf-8, cp932 or gb18030"
            ) from None
        return encoding

    @field_validator("white")
    @classmethod
    def _ascending(cls, white: float | tuple[float, float] | None) -> float | tuple[float, float] | None:
        if isinstance(white, tuple) and not white[0] < white[1]:
            raise ValueError("must be [black, white] with black below white")
        return white

    @model_validator(mode="after")
    def _one_source(self) -> DataConfig:
        places = {"images": self.images, "builtin": self.builtin, "source": self.source}
        given = [key for key, place in places.items() if place is not None]
        if len(given) != 1:
            raise ValueError(
                "needs one of images (a folder, with labels), builtin: digits, or source (from Python), got "
                f"{' and '.join(given) or 'none of them'}; {'keep one' if given else 'add one'}"
            )
        fields = type(self).model_fields
        unused = [key for key in _OF_FILES if getattr(self, key) != fields[key].default]
        if given != ["images"] and unused:
            raise ValueError(
                f"{given[0]} has labels of its own, so {' and '.join(unused)} would have no effect; remove "
                f"{'it' if len(unused) == 1 else 'them'}, or give images instead of {given[0]}"
            )
        return self

    @property
    def square(self) -> Square:
        """How images become squares; a key that is still `auto` has its default."""
        return Square(
            self.image_size, **{key: value for key in PREPROCESSING if (value := getattr(self, key)) != "auto"}
        )

"""Augmentation: how far training images may be changed. ``affine`` draws the changes, ``views`` applies them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Augment(BaseModel):
    """How far an image may be changed. Each change is drawn uniformly and independently of the others.

    Raises:
        pydantic.ValidationError: a value is outside its range.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    rotate: float = Field(0.0, ge=0, le=180, description="degrees, at most, in either direction")
    shear: float = Field(0.0, ge=0, lt=90, description="degrees, at most, in either direction")
    shift: float = Field(0.0, ge=0, le=1, description="fraction of the side, at most, drawn separately for both axes")
    flip: float = Field(0.0, ge=0, le=1, description="probability of mirroring left and right")

    @property
    def is_identity(self) -> bool:
        """Whether nothing is changed: all views are the original image."""
        return not (self.rotate or self.shear or self.shift or self.flip)


AUGMENTS = {
    "paper": Augment(rotate=40.0, shear=11.5, shift=0.1, flip=0.5),  # Yue et al. 2019; its shear of 0.2 read as radians
    "none": Augment(),
}
"""``data.augment`` by name."""

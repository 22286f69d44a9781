"""How images are scaled and cropped if the search file leaves that to the pretrained weights."""

from __future__ import annotations

from thaw.search.settings.config import SearchConfig
from thaw.search.settings.data_section import PREPROCESSING
from thaw.trainables.data.decoding import INTERPOLATIONS
from thaw.trainables.networks.table import architecture


def follow_weights(config: SearchConfig) -> tuple[SearchConfig, list[str]]:
    """The search file with ``data.resize``, ``interpolation`` and ``crop_pct`` as all its pretrained networks expect.

    All networks of a search see the same pixels. If they expect different ones, images are scaled and cropped as for
    networks without pretrained weights.

    Returns:
        The search file, and a sentence for each key in which the networks differ.
    """
    names = [name for name in map(str, config.search_space.options("architecture")) if config.pretrained(name)]
    plain, chosen, notes = config.data.square, {}, []
    for key in PREPROCESSING:
        if getattr(config.data, key) != "auto":
            continue
        expected = {name: getattr(architecture(name).preprocessing, key) for name in names}
        known = {value for value in expected.values() if key != "interpolation" or value in INTERPOLATIONS}
        chosen[key] = known.pop() if len(known) == 1 else getattr(plain, key)
        if known:
            said = ", ".join(f"{name} {value}" for name, value in expected.items())
            notes.append(f"the networks expect different data.{key} ({said}); all get {chosen[key]}")
    return config.model_copy(update={"data": config.data.model_copy(update=chosen)}), notes

"""Seeds follow from their parts alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thaw.spaces.trial import TrialConfig
from thaw.trainables.seeding import derive_seed


def test_the_seed_is_half_the_hash_of_the_json_text() -> None:
    # `printf '[0,"a"]' | b2sum --length 64` gives e77e6edc1a273ddc; every machine and version has to agree.
    assert derive_seed(0, "a") == 0xE77E6EDC1A273DDC // 2


def test_equal_parts_give_equal_seeds_and_other_parts_others() -> None:
    config = TrialConfig().canonical()
    assert derive_seed(0, config, "shuffle", 1) == derive_seed(0, config, "shuffle", 1)
    others = [
        (0, config, "shuffle", 2),
        (1, config, "shuffle", 1),
        (0, config, "dropout", 1),
        (0, TrialConfig(dropout=0.3).canonical(), "shuffle", 1),
        ("ab", "c"),
        ("a", "bc"),
        (1,),
        ("1",),
        (1.5,),
        (None,),
        (),
    ]
    assert len({derive_seed(*parts) for parts in others}) == len(others)


def test_numpy_scalars_count_as_plain_numbers() -> None:
    assert derive_seed(np.int64(3), np.float64(0.1), np.bool_(True)) == derive_seed(3, 0.1, True)


def test_seeds_fit_every_generator() -> None:
    seeds = [derive_seed(number) for number in range(1000)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**62  # all 63 bits are used
    torch.manual_seed(max(seeds))
    np.random.default_rng(max(seeds))


def test_a_part_without_a_canonical_text_is_refused() -> None:
    with pytest.raises(TypeError, match="got set"):
        derive_seed({1, 2})

"""Protocols: which worms train, which are tested. None of a test worm's frames trains, chooses or stops a model."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from wormjax.errors import InputError

PROTOCOLS = ("subsets", "leave_one_worm_out", "same_worm", "cross_study")


class Split(NamedTuple):
    """Indices of the worms that train (of `study`) and that are tested (of `test_study`)."""

    train: tuple[int, ...]
    test: tuple[int, ...]


def list_splits(protocol: str, worms: int, test_worms: int = 0, train_counts: Sequence[int] = ()) -> list[Split]:
    """The splits of a protocol, in a fixed order.

    Args:
      protocol: "subsets": every subset of the worms trains, and is tested on every worm left out (Wang et al. 2021;
        the subset of all worms has nothing to be tested on, and is left out). "leave_one_worm_out": each worm is
        tested once, trained on all others. "same_worm": each worm trains and is tested on blocks of its own
        frames. "cross_study": every subset trains, and is tested on every worm of the other study.
      worms: number of worms of the study.
      test_worms: number of worms of the other study, for "cross_study".
      train_counts: numbers of training worms to keep; () keeps all.

    Raises:
      InputError: an unknown protocol, or one that these worms leave without a split.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"config field 'protocol.name': found {protocol!r}, expected one of {', '.join(PROTOCOLS)}")
    everyone = range(worms)
    subsets = [subset for size in range(1, worms + 1) for subset in combinations(everyone, size)]
    if protocol == "same_worm":
        splits = [Split((worm,), (worm,)) for worm in everyone]
    elif protocol == "cross_study":
        splits = [Split(subset, tuple(range(test_worms))) for subset in subsets]
    else:
        others = [Split(subset, tuple(worm for worm in everyone if worm not in subset)) for subset in subsets]
        splits = [split for split in others if split.test]
        if protocol == "leave_one_worm_out":
            splits = [split for split in splits if len(split.test) == 1]
    kept = [split for split in splits if not train_counts or len(split.train) in train_counts]
    if not kept:
        wanted = f" with {list(train_counts)} training worms" if train_counts else ""
        raise InputError(f"config field 'protocol.name': found no split of {worms} worms for {protocol!r}{wanted}")
    return kept

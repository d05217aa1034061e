"""Protocols: which worms train, which are tested. None of a test worm's frames trains, chooses or stops a model."""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from wormjax.errors import ConfigError

WITHIN_RECORDING = "within_recording"
PROTOCOLS = ("subsets", "leave_one_worm_out", "same_worm", "cross_study", WITHIN_RECORDING)
LARGEST_COUNT = 100_000  # The subsets of 100 worms are 1.3e30.


class Split(NamedTuple):
    """Indices of the worms that train (of `study`) and that are tested (of `test_study`)."""

    train: tuple[int, ...]
    test: tuple[int, ...]


def list_splits(protocol: str, worms: int, test_worms: int = 0, train_counts: Sequence[int] = ()) -> list[Split]:
    """Return the splits of a protocol, in a fixed order.

    Args:
      protocol: "subsets": every subset of the worms trains, and is tested on every worm left out (Wang et al. 2021;
        the subset of all worms has nothing to be tested on, and is left out). "leave_one_worm_out": each worm is
        tested once, trained on all others. "same_worm": each worm trains and is tested on blocks of its own
        frames; so it is with "within_recording". "cross_study": every subset trains, and is tested on every worm of the
        other study.
      test_worms: number of worms of the other study, for "cross_study".
      train_counts: numbers of training worms to keep; () keeps all.

    Raises:
      InputError: a protocol that these worms leave without a split, or with too many to be trained.
    """
    sizes = [size for size in _train_sizes(protocol, worms) if not train_counts or size in train_counts]
    count = sum(math.comb(worms, size) for size in sizes)
    if count > LARGEST_COUNT:
        found = f"found {list(train_counts) or 'none'}, which makes {min(count, 10**300):.3g} splits of {worms} worms"
        raise ConfigError("protocol.train_counts", f"{found}, expected at most {LARGEST_COUNT:,} splits")
    subsets = (subset for size in sizes for subset in combinations(range(worms), size))
    kept = [Split(subset, _choose_test(protocol, subset, worms, test_worms)) for subset in subsets]
    if not kept:
        wanted = f" with {list(train_counts)} training worms" if train_counts else ""
        found = f"found no split of {worms} worms for {protocol!r}{wanted}"
        remedy = "; expected two worms or more, or protocol.name='same_worm'" if worms < 2 else ""
        raise ConfigError("protocol.name", f"{found}{remedy}")
    return kept


def list_config_splits(config, worm_studies: Sequence[str], test_worms: int) -> list[Split]:
    """Return the splits of a config's protocol. Of several studies, those that are not `data.test_study` always train.

    `test_worms` is the number of worms of the other study, for "cross_study".
    """
    protocol, test_study = config.protocol, config.data.get("test_study", "")
    if not test_study or protocol.name == "cross_study":
        return list_splits(protocol.name, len(worm_studies), test_worms, protocol.train_counts)
    candidates = [worm for worm, study in enumerate(worm_studies) if study == test_study]
    always = tuple(worm for worm, study in enumerate(worm_studies) if study != test_study)
    if not candidates:
        found = f"found {test_study!r}, expected one of {', '.join(dict.fromkeys(worm_studies))}"
        raise ConfigError("data.test_study", f"{found}, or protocol.name='cross_study'")
    return [
        Split(tuple(sorted((*always, *(candidates[k] for k in split.train)))), tuple(candidates[k] for k in split.test))
        for split in list_splits(protocol.name, len(candidates), 0, protocol.train_counts)
    ]


def _train_sizes(protocol, worms) -> range:
    """Return the numbers of training worms that a protocol knows."""
    if protocol in ("same_worm", WITHIN_RECORDING):
        return range(1, min(worms, 1) + 1)
    if protocol == "leave_one_worm_out":
        return range(max(worms - 1, 1), worms)
    return range(1, worms + (protocol == "cross_study"))


def _choose_test(protocol, train, worms, test_worms) -> tuple[int, ...]:
    if protocol in ("same_worm", WITHIN_RECORDING):
        return train
    if protocol == "cross_study":
        return tuple(range(test_worms))
    return tuple(worm for worm in range(worms) if worm not in train)

"""Which worms train and which are tested."""

import pytest

from wormjax.errors import InputError
from wormjax.tasks.protocols import PROTOCOLS, Split, list_splits


@pytest.mark.parametrize("worms", [2, 3, 5])
def test_subsets_are_all_but_the_empty_and_the_whole_each_tested_on_the_worms_left_out(worms):
    splits = list_splits("subsets", worms)
    assert len(set(splits)) == len(splits) == 2**worms - 2
    for split in splits:
        assert sorted(split.train + split.test) == list(range(worms))
        assert not set(split.train) & set(split.test)
        assert split.train
        assert split.test


def test_leave_one_worm_out_tests_each_worm_once_on_all_others():
    splits = list_splits("leave_one_worm_out", 4)
    assert sorted(split.test for split in splits) == [(0,), (1,), (2,), (3,)]
    assert all(sorted(split.train + split.test) == [0, 1, 2, 3] for split in splits)


def test_same_worm_trains_and_tests_each_worm_by_itself():
    assert list_splits("same_worm", 3) == [Split((0,), (0,)), Split((1,), (1,)), Split((2,), (2,))]


def test_cross_study_tests_every_subset_on_every_worm_of_the_other_study():
    splits = list_splits("cross_study", 3, 2)
    assert len({split.train for split in splits}) == len(splits) == 2**3 - 1
    assert {split.test for split in splits} == {(0, 1)}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_train_counts_keep_splits_of_those_numbers_of_worms_in_order(protocol):
    every = list_splits(protocol, 4, 2)
    counts = {"leave_one_worm_out": (3,), "same_worm": (1,), "within_recording": (1,)}.get(protocol, (1, 3))
    kept = list_splits(protocol, 4, 2, counts)
    assert kept == [split for split in every if len(split.train) in counts]
    assert {len(split.train) for split in kept} == set(counts)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("subsets", 1), "found no split of 1 worms for 'subsets'"),
        (("leave_one_worm_out", 1), "found no split of 1 worms"),
        (("subsets", 3, 0, (3,)), "found no split of 3 worms for .subsets. with .3. training worms"),
    ],
)
def test_a_protocol_without_a_split_is_an_error_of_its_field(arguments, found):
    with pytest.raises(InputError, match=rf"'protocol.name': {found}"):
        list_splits(*arguments)


@pytest.mark.parametrize("protocol", ["subsets", "leave_one_worm_out"])
def test_a_hundred_worms_are_left_out_one_by_one_without_listing_all_subsets(protocol):
    splits = list_splits(protocol, 100, train_counts=(99,))
    assert [split.test for split in splits] == [(worm,) for worm in reversed(range(100))]
    assert all(len(split.train) == 99 for split in splits)


def test_more_subsets_than_can_be_trained_are_an_error():
    with pytest.raises(InputError, match=r"'protocol.train_counts': found none, which makes 1.27e\+30 splits of 100"):
        list_splits("subsets", 100)
    with pytest.raises(InputError, match=r"found \[3, 4\], which makes 4.08e\+06 splits of 100 worms"):
        list_splits("cross_study", 100, 2, (3, 4))

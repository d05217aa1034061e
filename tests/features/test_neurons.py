"""Neurons are chosen by name: shared by all worms or listed, in that order, whatever a file's own order."""

import numpy as np
import pytest

from wormjax.errors import InputError
from wormjax.features.neurons import align_neurons, choose_neurons, find_poor_worms, shared_neurons


def test_shared_neurons_are_those_of_every_worm_in_alphabetical_order(make_recording):
    first = make_recording("w1", neuron_names=("RID", "AVAL", "AVBR", None))
    second = make_recording("w2", neuron_names=("AVBR", None, "ALA", "RID"))
    assert shared_neurons([first, second]) == ("AVBR", "RID")
    assert choose_neurons([second, first], "shared") == ("AVBR", "RID")


def test_ambiguous_candidates_do_not_count_as_identified(make_recording):
    candidates = ((), ("AVAR", "AVER"), (), ())
    worms = [make_recording(name, ambiguous_names=candidates) for name in ("w1", "w2")]
    assert shared_neurons(worms) == ("AVAL", "AVBR", "RID")


def test_without_shared_neurons_the_error_says_which_worm_misses_which(make_recording):
    worms = [
        make_recording("w1", neuron_names=("AVAL", "RID", None, None)),
        make_recording("w2", neuron_names=("AVAL", None, None, None)),
        make_recording("w3", neuron_names=("RID", None, None, None)),
        make_recording("w4", neuron_names=(None,) * 4),
    ]
    with pytest.raises(InputError) as caught:
        shared_neurons(worms)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("w1.mat: field 'neuron_names': found no neuron identified in all 4 worms")
    assert "study/w2 misses RID" in message
    assert "study/w3 misses AVAL" in message
    assert "study/w4 has no identified neuron" in message


def test_a_list_is_taken_as_it_is_from_a_text_or_a_tuple(make_recording):
    worms = [make_recording("w1"), make_recording("w2")]
    assert choose_neurons(worms, "RID,AVAL") == ("RID", "AVAL")
    assert choose_neurons(worms, ["RID", "AVAL"]) == ("RID", "AVAL")


def test_a_listed_neuron_that_one_worm_lacks_is_refused_by_worm_and_name(make_recording):
    worms = [make_recording("w1"), make_recording("w2", neuron_names=("AVAL", None, None, None))]
    with pytest.raises(InputError) as caught:
        choose_neurons(worms, "AVAL,RID,AVBR")
    message = str(caught.value)
    assert message.startswith("w2.mat: worm 'w2', field 'neuron_names': found AVAL, expected RID, AVBR too")
    assert "\n" not in message


@pytest.mark.parametrize("names", ["", (), ("AVAL", "AVAL"), "AVAL,"])
def test_an_empty_or_repeated_list_is_refused(make_recording, names):
    with pytest.raises(InputError, match=r"^config field 'data\.neurons'"):
        choose_neurons([make_recording()], names)


def test_spaces_after_commas_are_no_part_of_a_name(make_recording):
    assert choose_neurons([make_recording()], "RID, AVAL") == ("RID", "AVAL")


def test_alignment_gives_each_name_its_own_column_in_the_order_asked_for(make_recording):
    recording = make_recording(derivatives=np.random.default_rng(5).normal(size=(40, 4)))
    aligned = align_neurons(recording, ("AVBR", "AVAL"))
    np.testing.assert_array_equal(aligned, recording.traces[:, [3, 0]])
    np.testing.assert_array_equal(align_neurons(recording, ("RID",), "derivatives"), recording.derivatives[:, [2]])


def test_alignment_is_the_same_for_a_worm_whose_columns_are_shuffled(make_recording):
    recording, order = make_recording(), [2, 3, 1, 0]
    shuffled = make_recording(
        traces=recording.traces[:, order], neuron_names=tuple(recording.neuron_names[k] for k in order)
    )
    names = ("RID", "AVAL", "AVBR")
    np.testing.assert_array_equal(align_neurons(shuffled, names), align_neurons(recording, names))


def test_a_neuron_that_the_worm_lacks_is_nan(make_recording):
    aligned = align_neurons(make_recording(), ("AVAR", "AVAL"))
    assert np.isnan(aligned[:, 0]).all()
    np.testing.assert_array_equal(aligned[:, 1:], align_neurons(make_recording(), ("AVAL",)))


def test_a_worm_that_more_than_halves_the_shared_neurons_is_poor(make_recording):
    names = make_recording().neuron_names
    rich = [make_recording(f"w{number}", seed=number) for number in range(3)]
    poor = make_recording("poor", seed=5, neuron_names=(names[0],) + (None,) * (len(names) - 1))
    assert find_poor_worms([*rich, poor]) == [poor]
    assert find_poor_worms([rich[0], poor]) == []
    assert find_poor_worms(rich) == []


def test_any_neurons_are_the_named_ones_of_enough_worms(make_recording):
    first = make_recording("w1", neuron_names=("RID", "AVAL", "AVBR", None))
    second = make_recording("w2", neuron_names=("AVBR", None, None, "ALA"))
    assert choose_neurons([first, second], "any") == ("ALA", "AVAL", "AVBR", "RID")
    assert choose_neurons([first, second], "any", least_worms=2) == ("AVBR",)
    assert choose_neurons([first, second], "any", unnamed=True)[4:] == ("", "")  # As many as the second worm has.
    with pytest.raises(InputError, match=r"data\.least_worms.*found 3.*in more than 2 of 2 worms; expected 2 or less"):
        choose_neurons([first, second], "any", least_worms=3)


def test_neurons_without_a_name_fill_the_places_without_one_in_order(make_recording):
    worm = make_recording(neuron_names=(None, "AVAL", None, "RID"))
    aligned = align_neurons(worm, ("RID", "AVBL", "", "", ""))
    np.testing.assert_array_equal(aligned[:, [0, 2, 3]], worm.traces[:, [3, 0, 2]])
    assert np.isnan(aligned[:, [1, 4]]).all()

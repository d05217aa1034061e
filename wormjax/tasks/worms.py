"""A config's worms, ready to train and test on: recordings → datasets → splits."""

import os
from collections.abc import Sequence
from typing import NamedTuple

from wormjax.errors import ConfigError
from wormjax.features.dataset import Dataset, build_dataset
from wormjax.features.neurons import choose_neurons
from wormjax.features.studies import SIMULATED, open_recordings
from wormjax.recordings.recording import Recording
from wormjax.tasks.protocols import Split, list_splits
from wormjax.training.workdir import describe_dataset, read_description, refuse_changes

# Fields of a config that name recordings.
RECORDINGS = (
    "data.path",
    "data.study",
    "data.test_path",
    "data.test_study",
    "data.simulation",
)  # Fields that name them.


class Materials(NamedTuple):
    """Datasets to train and to test on (the same one unless across studies), and the splits of the protocol."""

    dataset: Dataset
    test_dataset: Dataset
    splits: tuple[Split, ...]


def prepare_materials(config) -> Materials:
    """Opens and aligns all worms that a config names, before anything is computed or written.

    Raises:
      InputError: a file, a field or a config that cannot be used.
    """
    recordings = list(open_recordings(config.data.study, config.data.path, config.data.simulation))
    if config.protocol.name != "cross_study":
        neurons = choose_neurons(recordings, config.data.neurons)
        dataset = build(config, recordings, neurons)
        splits = list_splits(config.protocol.name, len(dataset.worms), train_counts=config.protocol.train_counts)
        return Materials(dataset, dataset, tuple(splits))
    test_recordings = list(open_test_recordings(config))
    _refuse_shared_worms(recordings, test_recordings)
    neurons = choose_neurons((*recordings, *test_recordings), config.data.neurons)
    _check_rates(config, recordings, test_recordings)
    dataset, test_dataset = build(config, recordings, neurons), build(config, test_recordings, neurons)
    counts = config.protocol.train_counts
    splits = list_splits("cross_study", len(dataset.worms), len(test_dataset.worms), counts)
    return Materials(dataset, test_dataset, tuple(splits))


def prepare_new_worms(config, description: dict, train_splits: Sequence[Split]) -> tuple[Dataset, tuple[Split, ...]]:
    """Other recordings for runs that are already trained: the neurons of the training, the worms that are new.

    Args:
      config: with `data.path` (or, across studies, `data.test_path`) of the recordings to test on.
      description: of the training data (`workdir.read_description`).
      train_splits: the splits that the runs were trained on.

    Returns:
      The dataset, and for each training split the worms that are not among its training worms by name.

    Raises:
      InputError: recordings that lack a neuron of the training.
    """
    cross = config.protocol.name == "cross_study"
    recordings = list(
        open_test_recordings(config)
        if cross
        else open_recordings(config.data.study, config.data.path, config.data.simulation)
    )
    dataset = build(config, recordings, choose_neurons(recordings, description["neurons"]))
    names = description["worms"]
    splits = []
    for split in train_splits:
        trained = {names[worm] for worm in split.train} if dataset.study == description["study"] or not cross else ()
        splits.append(Split(split.train, tuple(k for k, worm in enumerate(dataset.worms) if worm not in trained)))
    return dataset, tuple(splits)


def prepare_evaluation(
    config, workdir: str | os.PathLike, open_fields: Sequence[str]
) -> tuple[dict, list[Split], Dataset, list[Split]]:
    """What scoring a trained workdir again needs, on its own recordings or on others.

    Args:
      config: that of training, but for fields that begin with one of `open_fields`.
      workdir: of the training.
      open_fields: what may be another than it was: whose recordings, and what is asked of them.

    Returns:
      The description of the training data, the splits of training, the dataset to test on, and for each split the
      worms of it that are not training worms.

    Raises:
      InputError: no trained workdir, a config that differs where training fixed it, or recordings that do not fit.
    """
    refuse_changes(config, workdir, open_fields)
    description = read_description(workdir)
    tests = len(description.get("test", description)["worms"])
    counts = config.protocol.train_counts
    splits = list_splits(config.protocol.name, len(description["worms"]), tests, counts)
    dataset, test_splits = prepare_new_worms(config, description, splits)
    if config.protocol.name != "same_worm" and not any(split.test for split in test_splits):
        raise ConfigError("data.path", "found no worm that is not a training worm of every run")
    return description, splits, dataset, list(test_splits)


def open_test_recordings(config) -> tuple[Recording, ...]:
    """The other study's worms; a simulated one has a seed of its own, so that its worms are others."""
    simulation = config.data.simulation
    if not config.data.test_study:
        raise ConfigError("data.test_study", "found none, expected a study for protocol 'cross_study'")
    if config.data.test_study == SIMULATED:
        simulation = simulation.copy_and_resolve_references()
        simulation.seed += 1
    return open_recordings(config.data.test_study, config.data.test_path, simulation)


def build(config, recordings: list[Recording], neurons: Sequence[str]) -> Dataset:
    """The dataset of a config's `data` section. The list is emptied: each worm goes once it is in the dataset."""
    data = config.data
    return build_dataset(
        recordings,
        neurons,
        inputs=data.inputs,
        scaling=data.scaling,
        calibration_seconds=data.calibration_seconds,
        derivative_seconds=data.derivative_seconds,
        frame_rate=data.frame_rate,
        state_set=data.states,
        trace_weight=data.trace_weight,
        release=True,
    )


def _refuse_shared_worms(recordings, test_recordings):
    """Across studies every worm trains or is tested, never both: a study is not its own other study."""
    known = {(recording.study, recording.worm) for recording in recordings}
    for recording in test_recordings:
        if (recording.study, recording.worm) in known:
            found = f"found the worm {recording.worm!r} of {recording.study!r}, which also trains"
            raise ConfigError("data.test_path", f"{found}, expected worms of another study")


def _check_rates(config, recordings, test_recordings):
    rates = [recording.frame_rate for recording in (*recordings, *test_recordings)]
    if not config.data.frame_rate and max(rates) > 1.25 * min(rates):
        found = f"found 0 (none) with worms recorded at {min(rates):.2f} to {max(rates):.2f} Hz"
        raise ConfigError("data.frame_rate", f"{found}, expected a common rate, such as {min(rates):.2f}")


def describe_materials(materials: Materials) -> dict:
    """What a workdir remembers of its data: the training dataset, and the other study's where there is one."""
    description = describe_dataset(materials.dataset)
    if materials.test_dataset is not materials.dataset:
        description["test"] = describe_dataset(materials.test_dataset)
    return description

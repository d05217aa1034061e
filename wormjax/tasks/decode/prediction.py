"""Decode recordings with a trained decoder: what the instrument (`wormjax.Decoder`, `wormjax predict`) is made of.

A trained decoder is the parameters of one or more groups (seed, training worms) with the config and the description of
the data that they were trained on. It comes from memory (`train_decoder`) or from a work directory (`open_decoder`).
Both decode by the functions of the benchmark, so that their numbers are the same.
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from wormjax import graphs
from wormjax.baselines.linear import LINEAR_BASELINES
from wormjax.errors import InputError
from wormjax.features.dataset import Dataset
from wormjax.features.neurons import extend_neurons
from wormjax.recordings.recording import Recording
from wormjax.scoring.rows import Row
from wormjax.tasks.decode import baselines
from wormjax.tasks.decode import runs as decoding
from wormjax.tasks.decode.calibration import calibrate
from wormjax.tasks.groups import Group, model_folder, restore_best
from wormjax.tasks.new_worms import build_new_dataset, note_training_worms
from wormjax.tasks.protocols import Split
from wormjax.tasks.training import Trained, open_model, train_best
from wormjax.training.workdir import describe_dataset


class DecodedWorm(NamedTuple):
    """What a decoder says of one recording, as `wormjax.Decoder` has it; the neurons are those of the edges."""

    probabilities: Float[np.ndarray, "frame state"]
    edges: Float[np.ndarray, "sender receiver type"] | None
    behavior: dict[str, Float[np.ndarray, " frame"]]
    neurons: tuple[str, ...]


def train_decoder(name: str, config, dataset: Dataset, progress: bool = True) -> Trained:
    """Train one decoder, a network or a linear baseline, on all worms of a dataset, in memory."""
    group = Group(config.seed, Split(tuple(range(len(dataset.worms))), ()))
    if name in LINEAR_BASELINES:
        variables = baselines.fit_baseline(name, config, dataset, [group])
    else:
        runs = decoding.build_group_runs(config, dataset, [group])
        variables = train_best(decoding.build_training(name, config, dataset, runs), name, progress)
    return Trained(name, config, describe_dataset(dataset), (group,), variables)


def open_decoder(workdir: str | os.PathLike, config, name: str | None = None) -> Trained:
    """Return a decoder of a work directory: all runs that trained on the largest number of worms."""
    decoder, chosen, _ = open_model(workdir, config, (*config.models, *config.baselines), name)
    members = 1 if decoder.name in LINEAR_BASELINES else config.train.members
    runs = (np.array(chosen)[:, None] * members + np.arange(members)).ravel()
    return decoder._replace(variables=decoding.select_runs(restore_best(model_folder(workdir, decoder.name)), runs))


def calibrate_decoder(decoder: Trained, recording: Recording, seconds: float, progress: bool = True) -> Trained:
    """Return a decoder that was trained further on a recording's first seconds, with their labels."""
    if decoder.name in LINEAR_BASELINES:
        raise InputError(f"calibrate: found the baseline {decoder.name!r}, expected a network")
    dataset = _build_dataset(decoder, [recording], extend=False)
    worms = [0] * len(decoder.groups)
    variables = calibrate(decoder.name, decoder.config, dataset, worms, seconds, decoder.variables, progress=progress)
    return decoder._replace(variables=variables)


def decode_recordings(decoder: Trained, recordings: Sequence[Recording]) -> list[DecodedWorm]:
    """Decode recordings, scored or not, of which names may occur twice.

    A recording at another rate is resampled to that of the training, and what is decoded is interpolated back to the
    recording's own frames. Where a decoder has several runs, those are averaged that were not trained on the worm;
    where all were, all of them.
    """
    dataset, groups, decoded = _decode(decoder, recordings)
    worms = []
    for number, recording in enumerate(recordings):
        own = [k for k, group in enumerate(groups) if number in group.split.test]
        stretches = dataset.stretches_of(number)
        parts = [decoded.probabilities] if decoded.behavior is None else [decoded.probabilities, decoded.behavior]
        found = np.concatenate([part[own].mean(axis=0) for part in parts], axis=-1)
        values = np.full((len(recording.times), found.shape[-1]), np.nan)
        for stretch, span in zip(stretches, recording.stretches, strict=True):
            valid, frames = dataset.arrays.valid[stretch], slice(*span)
            times = recording.times[frames], dataset.times[stretch][valid]
            values[frames] = np.stack([np.interp(*times, column) for column in found[stretch][valid].T], axis=-1)
        states = len(dataset.state_names)
        behavior, edges = dict(zip(dataset.target_names, values[:, states:].T, strict=True)), None
        if decoded.edges is not None:  # The mean over groups, and over stretches by their length.
            frames = dataset.arrays.valid[stretches].sum(axis=1)
            mean = np.average(decoded.edges[np.ix_(own, stretches)].mean(axis=0), axis=0, weights=frames)
            edges = np.stack([graphs.edges_to_matrix(kind, len(dataset.neuron_names)) for kind in mean.T], axis=-1)
            lacking = np.array([name not in recording.identified for name in dataset.neuron_names])
            edges = graphs.mask_edges(edges, lacking)
        worms.append(DecodedWorm(values[:, :states], edges, behavior, dataset.neuron_names))
    return worms


def score_recordings(decoder: Trained, recordings: Sequence[Recording]) -> list[Row]:
    """Return every metric of what `decode_recordings` decodes, worm by worm; worms without a scored state have none.

    Of one run these are the rows that the benchmark writes. Of several, the scores are of the averaged probabilities.
    """
    dataset, groups, decoded = _decode(decoder, recordings)
    rows = []
    for worm, name in enumerate(dataset.worms):
        own = [k for k, group in enumerate(groups) if worm in group.split.test]
        stretches, trained = dataset.stretches_of(worm), {k for group in own for k in groups[group].split.train}
        parts = (
            None if x is None else x[np.ix_(own, stretches)].mean(axis=0)
            for x in (decoded.probabilities, decoded.behavior)
        )
        scores = decoding.score_worm(dataset, stretches, dataset.scored, *parts)
        place = decoding.describe_training(decoder.description, sorted(trained))
        where = decoder.name, *place, dataset.worm_studies[worm], name, groups[own[0]].seed
        rows += [Row(*where, metric, value) for metric, value in scores.items()]
    return rows


def _build_dataset(decoder: Trained, recordings: Sequence[Recording], extend: bool = True) -> Dataset:
    """Return recordings for a decoder; for one that knows classes also with neurons that no training worm had."""
    neurons = decoder.description["neurons"]
    if extend and "identity" in decoder.variables:
        neurons = extend_neurons(neurons, recordings)
    return build_new_dataset(decoder.config, decoder.description, recordings, neurons=neurons)


def _decode(decoder: Trained, recordings: Sequence[Recording]) -> tuple[Dataset, list[Group], decoding.Decoded]:
    """Return recordings as a dataset, the decoder's groups with the worms that each decodes, and what they decode."""
    dataset, config = _build_dataset(decoder, recordings), decoder.config
    trained = note_training_worms(decoder.description, decoder.groups, dataset)
    everywhere = trained.all(axis=0)
    groups = [
        Group(group.seed, Split(group.split.train, tuple(np.flatnonzero(everywhere | ~own).tolist())))
        for group, own in zip(decoder.groups, trained, strict=True)
    ]
    if config.protocol.name == "same_worm":  # The whole of each recording is decoded, not blocks of it.
        config = config.copy_and_resolve_references().unlock()
        config.protocol.name = "subsets"
    decoded = decoding.decode_model(decoder.name, config, decoder.description, dataset, groups, decoder.variables)
    activity = decoding.factor_worms(config, dataset)
    return dataset, groups, decoding.refine_decoded(decoded, dataset, groups, activity)

"""Writes tiny, valid recordings in the layout of each public source. Made-up numbers; never a piece of a recording.

The MATLAB v7.3 layout: a struct is a group, a cell array a dataset of object references into `#refs#`, text an array
of UTF-16 code units with `MATLAB_class` = "char", an empty array two zeros with `MATLAB_empty` = 1. The JLD2 layout:
a dictionary is an array of references to pairs (`first`, `second`).
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np

KATO_STATES = ("FWD", "SLOW", "DT", "VT", "REV1", "REV2", "REVSUS", "NOSTATE")
FOUR_STATES = ("Reversal", "Forward", "Quiescence", "Turn")
FIVE_STATES = ("Forward", "Quiescence", "Reversal", "Dorsal turn", "Ventral turn", "undefined turn")
NEURONS = (("AVAL",), ("AVAR",), ("VB1",), ("RIML", "RIMR"), ("---",), ())
FRAMES = 40
_REFERENCE = h5py.special_dtype(ref=h5py.Reference)


class MatlabFile:
    """A MATLAB v7.3 file being written."""

    def __init__(self, path: str | os.PathLike):
        self.path = os.fspath(path)
        self.file = h5py.File(path, "w", userblock_size=512)
        self.references = self.file.create_group("#refs#")

    def __enter__(self) -> "MatlabFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        with open(self.path, "r+b") as stream:
            stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, written by a test".ljust(124) + b"\0\2IM")

    def add(self, values: Any, matlab_class: str = "double") -> h5py.Reference:
        """Puts an array beside the struct and returns the reference to it."""
        node = self.references.create_dataset(f"r{len(self.references):05d}", data=values)
        node.attrs["MATLAB_class"] = np.bytes_(matlab_class)
        return node.ref

    def add_empty(self) -> h5py.Reference:
        reference = self.add(np.zeros(2, np.uint64))
        self.file[reference].attrs["MATLAB_empty"] = np.uint8(1)
        return reference

    def add_text(self, text: str) -> h5py.Reference:
        return self.add(np.frombuffer(text.encode("utf-16-le"), np.uint16).reshape(-1, 1), "char")

    def add_cell(self, entries: Sequence[h5py.Reference]) -> h5py.Reference:
        return self.add(np.array(entries, _REFERENCE).reshape(-1, 1), "cell")

    def add_names(self, names: Sequence[str]) -> h5py.Reference:
        """A neuron's entry: an empty array, or a cell of its names."""
        return self.add_cell([self.add_text(name) for name in names]) if names else self.add_empty()

    def add_struct(self, fields: Mapping[str, Any]) -> h5py.Reference:
        """A struct of vectors and of cells of text."""
        group = self.references.create_group(f"r{len(self.references):05d}")
        group.attrs["MATLAB_class"] = np.bytes_("struct")
        for name, value in fields.items():
            if isinstance(value, np.ndarray):
                group[name] = value
            else:
                texts = [self.add_text(text) for text in value]
                group.create_dataset(name, data=np.array(texts, _REFERENCE).reshape(-1, 1), dtype=_REFERENCE)
        return group.ref

    def write_struct(self, name: str, fields: Mapping[str, Sequence[h5py.Reference]]) -> None:
        """The struct itself: a field is a cell with an entry a worm."""
        group = self.file.create_group(name)
        group.attrs["MATLAB_class"] = np.bytes_("struct")
        for field, entries in fields.items():
            group.create_dataset(field, data=np.array(entries, _REFERENCE).reshape(-1, 1), dtype=_REFERENCE)


def make_traces(worm: int, neurons: int, frames: int = FRAMES) -> np.ndarray:
    """Made-up traces [frame, neuron]."""
    return np.random.default_rng(worm).normal(size=(frames, neurons)).cumsum(axis=0)


def make_states(states: int, frames: int = FRAMES) -> np.ndarray:
    """State numbers from 0, each state in turn."""
    return np.arange(frames) * states // frames


def write_kato(
    path: str | os.PathLike,
    struct: str = "WT_NoStim",
    worms: int = 2,
    names: Sequence[Sequence[str]] = NEURONS,
    frames: int = FRAMES,
    state_names: Sequence[str] | None = KATO_STATES,
    replace: Mapping[str, Any] | None = None,
    drop: Sequence[str] = (),
) -> None:
    """The layout of WT_NoStim.mat. `replace` takes traces, times, States or dataset of every worm."""
    replace = dict(replace or {})
    times = "timVectorSeconds" if struct == "WT_NoStim" else "timeVectorSeconds"
    fields: dict[str, list] = {}
    with MatlabFile(path) as file:
        for worm in range(worms):
            traces = replace.get("traces", make_traces(worm, len(names), frames))
            states = make_states(len(state_names or "1234"), frames) + 1.0
            entry = {
                "IDs": file.add_cell([file.add_names(own) for own in names]),
                "traces": file.add(traces.T),
                "tracesDif": file.add(np.gradient(traces, axis=0).T),
                times: file.add(replace.get("times", np.arange(frames) / 3.0).reshape(1, -1)),
                "fps": file.add(np.array([[3.0]])),
                "States": file.add(replace.get("States", states).reshape(-1, 1)),
                "dataset": file.add_text(replace.get("dataset", f"{struct}_worm_{worm}")),
            }
            if state_names is not None:
                entry["States_key"] = file.add_cell([file.add_text(name) for name in state_names])
            for field, reference in entry.items():
                fields.setdefault(field, []).append(reference)
        file.write_struct(struct, {name: entries for name, entries in fields.items() if name not in drop})


def write_kato_binary(path: str | os.PathLike, struct: str = "NoStim_Data", with_times: bool = False) -> None:
    """The layout of NoStim_Data.mat: names or index numbers, eight binary state vectors."""
    fields: dict[str, list] = {}
    with MatlabFile(path) as file:
        for worm in range(2):
            traces = make_traces(worm, 4)
            states = make_states(8)
            entry = {
                "NeuronNames": file.add_cell([file.add_text(name) for name in ("AVAL", "2", "VB02", "4")]),
                "deltaFOverF_bc": file.add(traces.T),
                "derivs": file.add(np.gradient(traces, axis=0).T),
                "fps": file.add(np.array([[2.5]])),
                "States": file.add_struct(
                    {name.lower(): (states == k).astype(float).reshape(-1, 1) for k, name in enumerate(KATO_STATES)}
                ),
            }
            if with_times:
                entry |= {
                    "tv": file.add(1 + np.arange(FRAMES).reshape(-1, 1) / 2.5),
                    "dataset": file.add_text(f"w{worm}"),
                }
            for field, reference in entry.items():
                fields.setdefault(field, []).append(reference)
        file.write_struct(struct, fields)


def write_nichols(
    path: str | os.PathLike,
    condition: str = "n2_prelet",
    field: str = "FiveStates",
    first: int = 0,
    worms: int = 2,
    with_names: bool = True,
    dataset: str = "AN_{condition}_{worm}",
    states: np.ndarray | None = None,
    neurons: Sequence[Sequence[str]] = NEURONS,
) -> None:
    """The layout of n2_prelet.mat and its sisters; `tracesDif` one sample short."""
    names = FIVE_STATES if field == "FiveStates" else FOUR_STATES
    vector, key = field[0].lower() + field[1:], field[0].lower() + field[1:-1] + "Names"
    fields: dict[str, list] = {}
    with MatlabFile(path) as file:
        for worm in range(worms):
            traces = make_traces(worm, len(neurons))
            numbers = make_states(len(names)) + float(first) if states is None else states
            struct: dict[str, Any] = {vector: numbers.reshape(-1, 1)} | ({key: names} if with_names else {})
            entry = {
                "IDs": file.add_cell([file.add_names(own) for own in neurons]),
                "traces": file.add(traces.T),
                "tracesDif": file.add(np.diff(traces, axis=0).T),
                "timeVectorSeconds": file.add(np.arange(FRAMES).reshape(1, -1) / 4.0),
                "fps": file.add(np.array([[4.0]])),
                field: file.add_struct(struct),
                "dataset": file.add_text(dataset.format(condition=condition, worm=worm)),
            }
            for name, reference in entry.items():
                fields.setdefault(name, []).append(reference)
        file.write_struct(condition, fields)


DAG_LABELS = {1: ("AVAL", 5.0), 2: ("AVAR", 2.0), 3: ("AVAR", 4.0), 4: ("AIY?", 5.0), 5: ("RID", 3.0)}


def write_dag(
    folder: str | os.PathLike,
    labels: Mapping[int, tuple[str, float]] = DAG_LABELS,
    uids: Sequence[str] = ("2022-01-01-01", "2022-01-02-01"),
    neurons: int = 6,
    traces: Sequence[str] = ("trace_array", "trace_array_original", "traces_array_F_F20"),
    text: type = np.bytes_,
) -> None:
    """The layout of the repository: recordings, and the labels of all of them in a JLD2 file; `text` as there."""
    inside = os.path.join(folder, "data", "swf702_with_id")
    above = os.path.join(folder, "data", "receptor_expression")
    os.makedirs(inside)
    os.makedirs(above)
    for worm, uid in enumerate(uids):
        write_dag_recording(os.path.join(inside, f"{uid}-data.h5"), worm, neurons, traces)
    write_dag_labels(os.path.join(above, "NeuroPAL_labels_dict.jld2"), dict.fromkeys(uids, labels), text)


def write_dag_recording(path: str | os.PathLike, worm: int, neurons: int, traces: Sequence[str]) -> None:
    """One -data.h5: two uninterrupted stretches."""
    with h5py.File(path, "w") as file:
        for offset, name in enumerate(traces):
            file[f"gcamp/{name}"] = make_traces(worm, neurons) + offset
        file["gcamp/idx_splits"] = np.array([[1, 21], [20, FRAMES]])
        file["behavior/reversal_vec"] = (np.arange(FRAMES) % 10 < 3).astype(np.int64)
        file["behavior/velocity"] = np.linspace(-0.1, 0.1, FRAMES)
        file["behavior/pumping"] = np.full(FRAMES, np.nan)
        file["timing/timestamp_confocal"] = 1000 + np.arange(FRAMES) * 0.6


def write_dag_labels(
    path: str | os.PathLike, labels: Mapping[str, Mapping[int, tuple[str, float]]], text: type
) -> None:
    """NeuroPAL_labels_dict.jld2; its strings of fixed length (np.bytes_) or, as Julia writes them, variable (str)."""
    pair = np.dtype([("first", _REFERENCE), ("second", _REFERENCE)])
    entry = np.dtype([("1", _REFERENCE), ("2", _REFERENCE)])
    with h5py.File(path, "w") as file:
        hidden = file.create_group("_values")

        def add(value: Any, dtype: Any = None) -> h5py.Reference:
            return hidden.create_dataset(str(len(hidden)), data=value, dtype=dtype).ref

        def add_dictionary(items: Mapping[Any, h5py.Reference]) -> h5py.Reference:
            keys = [add(text(key) if isinstance(key, str) else np.int64(key)) for key in items]
            pairs = [add(np.array(own, pair)) for own in zip(keys, items.values(), strict=True)]
            return add(np.array(pairs, _REFERENCE), _REFERENCE)

        def add_label(label: str, confidence: float) -> h5py.Reference:
            values = {"label": add(text(label)), "confidence": add(confidence), "LR": add(text("L"))}
            return add(np.array(add_dictionary(values), _REFERENCE), _REFERENCE)

        uids = {}
        for uid, own in labels.items():
            neurons = add_dictionary({number: add_label(*label) for number, label in own.items()})
            uids[uid] = add(np.array((neurons, add_dictionary({})), entry))
        matches = add(np.array(add_dictionary(uids), _REFERENCE), _REFERENCE)
        root = add_dictionary({"list_uid": add(text("unused")), "dict_match_dict": matches})
        file.create_dataset("NeuroPAL_labels", data=np.array(root, _REFERENCE), dtype=_REFERENCE)

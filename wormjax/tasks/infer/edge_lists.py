"""The graphs of the test systems as files: `edges.csv`, a line per edge, and `edges.h5`, every type's probability."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from wormjax.atomic_write import open_place
from wormjax.simulation.trajectories import Trajectories

CSV_FILE, HDF5_FILE = "edges.csv", "edges.h5"
Edges = Float[np.ndarray, "sample *interval sender receiver type"]


def write_edges(
    workdir: Path, probabilities: Mapping[str, Edges], type_names: Sequence[str], test: Trajectories
) -> None:
    """Write the graphs of the first model as `edges.csv` and `edges.h5`; `edges.h5` has the other models' in groups.

    The CSV file has a line per sample and edge: sample, sender, receiver (numbers from 0), their names where objects
    have them, the likeliest type and its probability. Objects that a sample lacks have no edge. `probabilities` in
    HDF5 is [sample, sender, receiver, type] ([sample, frame, sender, receiver, type] of a model with a graph in each
    frame, whose mean over frames the CSV file has), NaN on the diagonal and where an object is absent; the attributes
    `edge_types` and `object_names` name its axes.

    Args:
      probabilities: model → its edges, the mean over seeds.
    """
    hidden = {name: hide_absent(values, test.present) for name, values in probabilities.items()}
    first = next(iter(hidden.values()))
    with open_place(workdir / CSV_FILE) as beside:
        averaged, names = first.mean(axis=1) if first.ndim == 5 else first, np.array(test.object_names)
        sample, sender, receiver = np.nonzero(np.isfinite(averaged).all(axis=3))
        found = averaged[sample, sender, receiver]
        columns = {"sample": sample, "sender": sender, "receiver": receiver}
        columns |= {"sender_name": names[sender], "receiver_name": names[receiver]} if len(names) else {}
        columns |= {"edge_type": np.array(type_names)[found.argmax(axis=1)], "probability": found.max(axis=1)}
        pd.DataFrame(columns).to_csv(beside, index=False)
    with open_place(workdir / HDF5_FILE) as beside, h5py.File(beside, "w") as file:
        file["probabilities"] = first.astype(np.float32)
        file.attrs["model"] = np.bytes_(next(iter(hidden)).encode())
        for field, names in (("edge_types", type_names), ("object_names", test.object_names)):
            file.attrs[field] = np.array([name.encode() for name in names], "S")
        for name, values in hidden.items():
            file[f"{name}/probabilities"] = values.astype(np.float32)


def hide_absent(probabilities: Edges, present: Bool[np.ndarray, "sample object"]) -> Edges:
    """Return probabilities with NaN for the edges of objects that a sample lacks."""
    pairs = present[:, :, None] & present[:, None, :]
    pairs = pairs[:, None] if probabilities.ndim == 5 else pairs
    return np.where(pairs[..., None], probabilities, np.nan)

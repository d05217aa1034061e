"""A program that reads many damaged files of trajectories, in a process of its own: `damaged_trajectories.py FOLDER N`.

Prints as JSON, for each kind of file, how many were read, and the messages of the others; and the memory it took.
"""

import json
import resource
import sys
import time
from pathlib import Path

import h5py
import numpy as np
from mutated_values import damage_bytes

from wormjax.errors import InputError
from wormjax.simulation.trajectories import Trajectories
from wormjax.simulation.trajectory_files import read_splits, read_trajectories, write_trajectories

SECONDS = 5.0


def make_trajectories() -> Trajectories:
    """Four simulations of three objects."""
    random = np.random.default_rng(0)
    features = random.standard_normal((4, 7, 3, 4)).astype(np.float32)
    edges = random.integers(0, 2, (4, 3, 3)).astype(np.int32) * (1 - np.eye(3, dtype=np.int32))
    return Trajectories("springs", features, edges, ("x", "y", "velocity x", "velocity y"), ("none", "weak"), 0.25)


def write_kinds(folder: Path) -> dict:
    """Kind of file → the file, what reads it, and how many bytes its headers take."""
    known = make_trajectories()
    own, packed, npz, npzc = (folder / name for name in ("own.h5", "packed.h5", "plain.npz", "packed.npz"))
    write_trajectories(known, own)
    with h5py.File(packed, "w") as file:
        options = {"chunks": True, "compression": "gzip", "shuffle": True}
        for field in ("features", "edges"):
            file.create_dataset(field, data=getattr(known, field), **options)
        file.attrs["system"] = np.bytes_(b"springs")
    fields = {"features": known.features, "edges": known.edges, "system": "springs"}
    np.savez(npz, **fields, feature_names=np.array(known.feature_names), frame_interval=0.5)
    np.savez_compressed(npzc, **fields)
    reference = folder / "reference"
    reference.mkdir()
    for field, values in (("loc", known.features[..., :2]), ("vel", known.features[..., 2:])):
        np.save(reference / f"{field}_train_springs3.npy", values.swapaxes(2, 3))
    np.save(reference / "edges_train_springs3.npy", known.edges.astype(float))
    return {
        "hdf5": (own, lambda: read_trajectories(own), 0),
        "packed hdf5": (packed, lambda: read_trajectories(packed), 0),
        "npz": (npz, lambda: read_trajectories(npz), 300),
        "packed npz": (npzc, lambda: read_trajectories(npzc), 300),
        "npy": (reference / "loc_train_springs3.npy", lambda: read_splits(reference), 100),
        "npy of edges": (reference / "edges_train_springs3.npy", lambda: read_splits(reference), 100),
    }


def read_peak() -> int:
    """This process's own peak of memory, in kilobytes; getrusage counts the process that started it, too."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))


def main(folder: Path, count: int) -> None:
    """Damages each kind of file `count` times."""
    results = {}
    for kind, (path, read, ahead) in write_kinds(folder).items():
        whole, good, messages = path.read_bytes(), 0, []
        read()
        for number in range(count):
            path.write_bytes(damage_bytes(whole, number, ahead))
            began = time.monotonic()
            try:
                read()
                good += 1
            except InputError as error:
                messages.append(str(error))
            assert time.monotonic() - began < SECONDS, (kind, number)
        path.write_bytes(whole)
        results[kind] = {"good": good, "messages": messages}
    print(json.dumps({"results": results, "kilobytes": read_peak()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

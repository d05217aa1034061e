"""A program that reads HDF5 attributes of strings of varying length, for a caller that must not hang or crash.

A damaged heap of such strings can lead the HDF5 library round in circles, or end the process. This file is run by
itself, `python attribute_strings.py FILE NAME...`: it takes a few seconds and little memory at most, and prints JSON.
"""

import contextlib
import json
import sys

SECONDS, MEMORY = 4, 1 << 30  # Of processor time, and bytes.


def main(path: str, names: list[str]) -> None:
    """Prints the attributes' strings, and lists of them, as one JSON object."""
    with contextlib.suppress(ImportError):  # Not on this system: the caller's patience is the limit.
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    import h5py
    import numpy as np

    with h5py.File(path, "r") as file:
        values = {name: np.asarray(file.attrs[name]).tolist() for name in names}
    print(json.dumps(values, default=lambda value: value.decode()))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

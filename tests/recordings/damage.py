"""Ways to damage a recording's file: in its bytes, or in its fields."""

import pathlib

import h5py
import numpy as np

EXTREMES = (0, 1, -1, 2**31 - 1, 2**31, 2**40, 2**62, 96, 512, 2048)
TEXTS = {
    "text": b"text",
    "newlines": b"AVAL\nerror: \x1b[2J\r\n\0x",
    "no UTF-8": b"\xff\xfe\x80",
    "long text": b"AVAL" * 5000,
}
NUMBERS = {
    "nan": np.nan,
    "infinity": np.inf,
    "minus infinity": -np.inf,
    "negative": -3,
    "enormous": 1e300,
    "tiny": 1e-300,
    "many": 1 << 40,
    "unsigned": np.uint64(2**64 - 1),
    "half": np.float16(1),
    "long": np.longdouble("1e4000"),
    "truth": True,
    "complex": 1j,
}
CHANGES = (
    *TEXTS,
    *NUMBERS,
    *("drop", "empty", "flat", "transposed", "deeper", "doubled", "one wrong", "other byte order", "huge", "null"),
    *("group", "self", "soft link", "lost link", "external link", "loop", "lost references", "many references"),
    *("variable text", "pairs", "type"),
)


def damage_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """Content with bytes changed, numbers made extreme, blocks copied or wiped, or the end cut off."""
    content, size = bytearray(content), len(content)
    for _ in range(rng.integers(1, 4)):
        place, other, length = (int(number) for number in rng.integers(0, [size, size, 64]))
        kind = rng.choice(["bytes", "bytes", "number", "number", "copy", "wipe"])
        if kind == "bytes":
            for here in rng.integers(0, size, rng.integers(1, 9)):
                content[here] = rng.integers(256)
        elif kind == "number":  # Sizes and addresses lie at multiples of 4 or 8 bytes.
            width = int(rng.choice([2, 4, 8]))
            value = int(rng.choice(EXTREMES)) % 2 ** (8 * width)
            place -= place % width
            content[place : place + width] = value.to_bytes(width, "little")
        elif kind == "copy":
            content[place : place + length] = content[other : other + length]
        else:
            content[place : place + length] = bytes(length)
    return bytes(content[: rng.integers(0, size)] if rng.random() < 0.1 else content[:size])


def list_nodes(path: pathlib.Path) -> list[str]:
    """The names of all groups and arrays of a file."""
    nodes: list[str] = []
    with h5py.File(path) as file:
        file.visit(nodes.append)
    return nodes


def damage_field(path: pathlib.Path, name: str, change: str) -> None:
    """Takes a node of a file away, or puts another type, shape, value or link in its place."""
    with h5py.File(path, "r+") as file:
        node = file[name]
        values = node[()] if isinstance(node, h5py.Dataset) else None
        attributes = dict(node.attrs)
        del file[name]
        _put(file, name, change, values)
        if isinstance(file.get(name, getlink=True), h5py.HardLink) and change != "self":
            for key, value in attributes.items():
                if isinstance(file[name], h5py.Dataset | h5py.Group):
                    file[name].attrs[key] = value


def damage_attribute(path: pathlib.Path, name: str, key: str, change: str) -> None:
    """Takes an attribute away, or puts another value in its place."""
    with h5py.File(path, "r+") as file:
        del file[name].attrs[key]
        if change in TEXTS:
            file[name].attrs[key] = np.void(TEXTS[change][:2000])
        elif change in NUMBERS and change != "long":
            file[name].attrs[key] = NUMBERS[change]
        elif change == "null":
            file[name].attrs[key] = h5py.Empty("f8")
        elif change == "loop":
            file[name].attrs[key] = file["/"].ref
        elif change == "flat":
            file[name].attrs[key] = np.arange(5000)
        elif change == "variable text":
            file[name].attrs[key] = "text\n" * 500


def _put(file: h5py.File, name: str, change: str, values) -> None:
    shape = np.shape(values) or (1,)
    if change in TEXTS:
        file[name] = np.full(shape, TEXTS[change])
    elif change in NUMBERS:
        file[name] = np.full(shape, NUMBERS[change])
    elif change == "huge":
        file.create_dataset(name, shape=(1 << 20, 1 << 30), dtype="f8", chunks=(1, 1024))
    elif change == "null":
        file[name] = h5py.Empty("f8")
    elif change == "variable text":
        file.create_dataset(name, data=np.full(shape, "text", object), dtype=h5py.string_dtype())
    elif change == "pairs":
        file[name] = np.zeros(shape, [("first", "f8"), ("second", "i4")])
    elif change == "type":
        file[name] = np.dtype("f8")
    elif change == "group":
        file.create_group(name)
    elif change == "self":
        file[name] = file["/"]
    elif change.endswith("link"):
        links = {"soft link": h5py.SoftLink("/"), "lost link": h5py.SoftLink("/not/there")}
        file[name] = links.get(change) or h5py.ExternalLink("/dev/zero", "/")
    elif change in ("loop", "lost references", "many references"):
        reference = h5py.Reference() if change == "lost references" else file["/"].ref
        many = 20_000 if change == "many references" else shape
        file.create_dataset(name, data=np.full(many, reference, object), dtype=h5py.ref_dtype, compression="gzip")
        if change == "loop":
            file[name][...] = np.full(shape, file[name].ref, object)
    elif change != "drop":
        _put_numbers(file, name, change, np.asarray(values if values is not None else 1.0))


def _put_numbers(file: h5py.File, name: str, change: str, values: np.ndarray) -> None:
    if values.dtype.kind not in "iuf":
        values = np.zeros(values.shape)
    values = {
        "empty": values[:0] if values.ndim else values,
        "flat": values.reshape(-1),
        "transposed": values.T,
        "deeper": values[None, None],
        "doubled": np.concatenate([values.reshape(values.shape or 1)] * 2),
        "one wrong": values.copy(),
        "other byte order": values.astype(values.dtype.newbyteorder("S")),
    }[change]
    if change == "one wrong" and values.size:
        values.reshape(-1)[-1] = np.inf if values.dtype.kind == "f" else 127
    file[name] = values

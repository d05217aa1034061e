"""Trajectories of many systems of one kind, with their graphs where known, in memory.

Files of them: `trajectory_files` and `reference_files`.
"""

import dataclasses
import numbers
import reprlib

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from wormjax.errors import InputError, note

SPLITS = ("train", "valid", "test")
MOST_EDGE_TYPES = 100
REFERENCE_INTERVAL = 0.1  # Seconds between the frames of the reference's files.


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Trajectories:
    """Many systems of one kind, observed at the same times, in NumPy or JAX arrays. Shapes are checked when made.

    Attributes:
      system: its name, for instance "springs".
      features: the observation of each object in each frame.
      edges: the type of each edge, the diagonal 0; None where the graph is unknown. With an axis of frames where edges
        change: those of a frame act from it to the next.
      feature_names: one per feature.
      edge_types: the name of each type; () where the graph is unknown.
      frame_interval: seconds from one frame to the next.
      source: the file that the trajectories were read from, for messages.
      object_names: one per object; () where they have none.
      observed: which samples were there; None for all. Features given as NaN make it, and become the object's last
        value before, or its first one: nothing is taken from later frames but at the start. An object that is never
        observed in a simulation is not part of it, and stands at the mean of the others.
      sample_names: one per simulation, such as a subject; () where they have none. Not written to files.
      temperatures: a factor of the strength of all a simulation's edges; None where all have the same, or unknown ones.

    Examples:
      >>> walks = np.cumsum(np.random.default_rng(0).normal(size=(8, 49, 5, 2)), axis=1)
      >>> wormjax.Trajectories("walks", walks, None, ("x", "y")).features.shape
      (8, 49, 5, 2)
    """

    system: str
    features: Float[jax.Array | np.ndarray, "simulation frame object feature"]
    edges: Int[jax.Array | np.ndarray, "simulation *frame sender receiver"] | None
    feature_names: tuple[str, ...]
    edge_types: tuple[str, ...] = ()
    frame_interval: float = REFERENCE_INTERVAL
    source: str = "memory"
    object_names: tuple[str, ...] = ()
    observed: Bool[np.ndarray, "simulation frame object"] | None = None
    sample_names: tuple[str, ...] = ()
    temperatures: Float[jax.Array | np.ndarray, " simulation"] | None = None

    def __post_init__(self):
        shape = np.shape(self.features)
        if len(shape) != 4 or min(shape) < 1 or shape[2] < 2:
            expected = "[simulation, frame, object, feature], two objects or more"
            fail_field(self.source, "features", f"found shape {shape}, expected {expected}")
        for field, count in {"feature_names": shape[3], "object_names": shape[2], "sample_names": shape[0]}.items():
            names, unit = len(getattr(self, field)), field.removesuffix("_names").replace("sample", "simulation")
            if names != count and (names or unit == "feature"):
                fail_field(self.source, field, f"found {names} names, expected {count}, one per {unit}")
        changing = (*shape[:3], shape[2])
        if self.edges is not None and np.shape(self.edges) not in ((shape[0], *changing[2:]), changing):
            found = f"found shape {np.shape(self.edges)}, expected {(shape[0], *changing[2:])} as the features"
            fail_field(
                self.source, "edges", f"{found}: [simulation, sender, receiver], or {changing} where edges change"
            )
        if not (isinstance(self.frame_interval, numbers.Real) and 0 < self.frame_interval < np.inf):
            fail_field(self.source, "frame_interval", f"found {self.frame_interval!r}, expected seconds above 0")
        factors = np.ones(shape[0]) if self.temperatures is None else np.asarray(self.temperatures)
        if factors.shape != shape[:1] or factors.dtype.kind not in "fiu":
            found = f"found {factors.dtype} of shape {factors.shape}"
            fail_field(self.source, "temperatures", f"{found}, expected a number per simulation, {shape[0]}")
        if not (np.isfinite(factors) & (factors > 0)).all():
            fail_field(self.source, "temperatures", "found one that is not above 0, expected finite numbers above 0")
        missing = np.isnan(np.asarray(self.features))
        if missing.any():
            if missing.all():
                fail_field(self.source, "features", "found no value, expected some")
            there = ~missing.any(axis=3)
            if self.observed is not None:
                there &= self.observed
            object.__setattr__(self, "observed", there)
            object.__setattr__(self, "features", _fill_missing(np.asarray(self.features), there))

    def __repr__(self) -> str:
        simulations, frames, objects, _ = np.shape(self.features)
        sizes = f"{simulations} simulations of {objects} objects, {frames} frames every {self.frame_interval:g} s"
        edges = f"edges {', '.join(self.edge_types)}" if self.edges is not None else "no known graph"
        return f"Trajectories({self.system!r}: {sizes}; features {', '.join(self.feature_names)}; {edges})"

    @property
    def present(self) -> Bool[np.ndarray, "simulation object"]:
        """Return which objects are part of each simulation."""
        if self.observed is None:
            return np.ones((np.shape(self.features)[0], np.shape(self.features)[2]), bool)
        return np.asarray(self.observed).any(axis=1)


def _fill_missing(features, there):
    """Return features with missing samples held at the object's last value, at the start at its first one."""
    frames = np.arange(features.shape[1])[None, :, None]
    last = np.maximum.accumulate(np.where(there, frames, -1), axis=1)
    source = np.where(last >= 0, last, np.argmax(there, axis=1)[:, None])
    filled = np.take_along_axis(features, source[..., None], axis=1)
    absent = ~there.any(axis=1)  # [simulation, object]
    if absent.any():
        shown = there[..., None] & np.isfinite(features)
        total = np.where(shown, features, 0.0).sum(axis=(1, 2)) / np.maximum(shown.sum(axis=(1, 2)), 1)
        filled = np.where(absent[:, None, :, None], total[:, None, None], filled)
    return filled.astype(features.dtype)


def hide_missing(trajectories: Trajectories) -> Float[np.ndarray, "simulation frame object feature"]:
    """Return the features with NaN where nothing was observed."""
    features = np.asarray(trajectories.features)
    if trajectories.observed is None:
        return features
    return np.where(np.asarray(trajectories.observed)[..., None], features, np.float32(np.nan))


def make_trajectories(
    source,
    features,
    edges=None,
    system="unnamed",
    feature_names=None,
    edge_types=(),
    frame_interval=REFERENCE_INTERVAL,
    object_names=(),
    temperatures=None,
) -> Trajectories:
    """Return the trajectories of a file's fields; features and edges have been checked."""
    names = feature_names if feature_names is not None else [f"feature {k + 1}" for k in range(features.shape[3])]
    lists = {"feature_names": names, "edge_types": edge_types, "object_names": object_names}
    for field, value in {"system": system, **lists}.items():
        texts = [value] if field == "system" else value
        is_list = isinstance(texts, list | tuple) or (isinstance(texts, np.ndarray) and not texts.size)
        if not is_list or not all(isinstance(text, str) and text.isprintable() for text in texts):
            fail_field(source, field, f"found {reprlib.repr(value)}, expected printable text")
    if isinstance(frame_interval, bool) or not isinstance(frame_interval, numbers.Real):
        fail_field(source, "frame_interval", f"found {reprlib.repr(frame_interval)}, expected seconds")
    if edges is not None:
        types = max(int(edges.max(initial=0)) + 1, 2)
        edge_types = edge_types or [f"type {k}" for k in range(types)]
        if len(edge_types) < types:
            found = f"found {len(edge_types)} names, expected {types} or more, one per edge type"
            fail_field(source, "edge_types", found)
    missing = np.isnan(features).any(axis=(1, 3))
    if missing.any():
        absent = np.isnan(features).all(axis=(1, 3)).any(axis=0).sum()
        parts = f" ({absent} objects are absent from some)" if absent else ""
        note_field(source, "features", f"samples are missing in {missing.any(axis=1).sum()} simulations{parts}; masked")
    named = tuple(names), tuple(edge_types), float(frame_interval), str(source), tuple(object_names)
    return Trajectories(system, features, edges, *named, temperatures=temperatures)


def check_features(source, features):
    """Return features at float32; raise InputError for an infinite one, or another shape."""
    if features.dtype.kind not in "fiu" or features.ndim != 4:
        found = f"found {features.dtype} of shape {features.shape}"
        fail_field(source, "features", f"{found}, expected numbers [simulation, frame, object, feature]")
    with np.errstate(over="ignore", invalid="ignore"):
        single = features.astype(np.float32)  # Numbers from 3e38 become infinite.
    finite = np.isfinite(single) | np.isnan(features)
    if not finite.all():
        bad = np.unravel_index(int(np.argmin(finite)), finite.shape)
        place = ", ".join(f"{axis} {k}" for axis, k in zip(("simulation", "frame", "object"), bad, strict=False))
        fail_field(source, "features", f"found {features[bad]} at {place}, expected finite values")
    return single


def check_edges(source, edges, shape):
    """Return edge types [simulation, sender, receiver] at int32, -1 where unknown."""
    objects = shape[2]
    if edges.ndim == 2 and edges.shape == (shape[0], objects * (objects - 1)) and edges.dtype.kind in "fiub":
        edges = unflatten_edges(edges, objects)
    square = edges.ndim in (3, 4) and edges.shape[-2] == edges.shape[-1]
    if not square or edges.dtype.kind not in "fiub" or not edges.size:
        found = f"found {edges.dtype} of shape {edges.shape}"
        fail_field(source, "edges", f"{found}, expected edge types [simulation, sender, receiver]")
    edges = clear_diagonal(edges)
    if edges.dtype.kind == "f":
        edges = np.where(np.isnan(edges), -1.0, edges)
    wrong = ~((edges >= -1) & (edges < MOST_EDGE_TYPES))
    wrong |= False if edges.dtype.kind in "iub" else edges != np.floor(edges)
    if wrong.any():
        expected = f"expected whole numbers from 0 to {MOST_EDGE_TYPES - 1}, or -1 where unknown"
        fail_field(source, "edges", f"found the type {edges[wrong][0]}, {expected}")
    return edges.astype(np.int32)


def unflatten_edges(edges, objects):
    """Return flat edges, by receiver and then by sender, as [simulation, sender, receiver]."""
    matrix = np.zeros((len(edges), objects, objects), edges.dtype)
    matrix[:, ~np.eye(objects, dtype=bool)] = edges
    return matrix.swapaxes(1, 2)


def clear_diagonal(edges):
    """Return edges whose diagonal is 0."""
    return np.where(np.eye(edges.shape[-1], dtype=bool), np.zeros((), edges.dtype), edges)


def note_field(source, field: str, text: str):
    """Warn of what is done with a field of a file."""
    note(f"{source}: field {field!r}: {text}")


def fail_field(source, field: str, problem: str):
    """Raise InputError for a field of a file."""
    raise InputError(f"{source}: field {field!r}: {problem}")

"""wormjax: models of C. elegans whole-brain activity that hold for worms never seen.

    import wormjax

    worms = wormjax.load("kato2015", "WT_NoStim.mat")     # Or wormjax.simulate_worms(4), or wormjax.Recording(...).
    decoder = wormjax.Decoder(model="nri_graph").fit(worms[:3], seed=0)
    probabilities = decoder.predict_proba(worms[3])       # [frame, state]; columns are decoder.state_names_.
    wormjax.plot.ethogram(worms[3], probabilities)
    decoder.save("decoder"); decoder = wormjax.load_model("decoder")
    forecast = wormjax.Forecaster().fit(worms[:3]).forecast(worms[3], origin=600.0, steps=16)
    graphs = wormjax.RelationalInference().fit(trajectories).edges(trajectories)  # [sample, sender, receiver, type].

Public names:
    load, Recording, simulate_worms     recordings of worms: from files, from arrays, simulated
    Decoder                             motor state per frame of a worm that nobody has annotated
    Forecaster                          the activity of its neurons in the seconds to come
    Reconstructor, reconstruct          a neuron that is hidden or was not recorded, from the others
    RelationalInference                 the graph between the objects of systems, from their trajectories
    Trajectories, simulate_springs      trajectories of systems
    load_model                          a saved estimator, or a work directory of the programs
    connectome                          the wiring and the signal-propagation atlas: reference graphs
    plot                                pictures
    InputError                          the error of input that cannot be used; its message says how to mend it
    RecordingWarning                    the warning of imperfect data; its message says what was done about them
"""

import importlib
import pathlib

__version__ = "0.1.0"

# A wheel holds configs/ and third_party/ inside wormjax; in a checkout they stand beside it.
if not pathlib.Path(__path__[0], "configs").is_dir():
    __path__.append(str(pathlib.Path(__path__[0]).parent))

# Public name → the module that holds it. They are imported when first used, so that `wormjax --help` is quick.
_PUBLIC = {
    "load": "wormjax.instrument.worms",
    "simulate_worms": "wormjax.instrument.worms",
    "Recording": "wormjax.recordings.recording",
    "Decoder": "wormjax.instrument.decoder",
    "Forecaster": "wormjax.instrument.forecaster",
    "Reconstructor": "wormjax.instrument.reconstructor",
    "reconstruct": "wormjax.instrument.reconstructor",
    "RelationalInference": "wormjax.instrument.relational_inference",
    "simulate_springs": "wormjax.instrument.relational_inference",
    "Trajectories": "wormjax.simulation.trajectories",
    "load_model": "wormjax.instrument.loading",
    "InputError": "wormjax.errors",
    "RecordingWarning": "wormjax.errors",
}
_MODULES = ("plot", "connectome")
__all__ = [*_PUBLIC, *_MODULES]


def __getattr__(name: str):
    if name in _MODULES:
        return importlib.import_module(f"wormjax.{name}")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'wormjax' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]  # What the tab key offers.

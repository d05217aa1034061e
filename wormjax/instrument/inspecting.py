"""`wormjax inspect`: what a file of recordings holds, and which trained models fit it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from wormjax.errors import InputError
from wormjax.instrument.decoder import Decoder
from wormjax.instrument.forecaster import Forecaster
from wormjax.instrument.loading import OPENERS, load_model
from wormjax.instrument.saved_model import MODEL_FILE
from wormjax.recordings.recording import Recording
from wormjax.training.workdir import CONFIG_FILE, read_config

SHOWN_NAMES = 12
TRAIN = "wormjax generalize --config=any_neurons --config.data.study=auto --config.data.path=FOLDER"
NO_MODEL = f"  none; --models=FOLDER looks elsewhere, and `{TRAIN}` trains one on a folder of scored recordings"


def describe_recordings(worms: Sequence[Recording]) -> list[str]:
    """Return what recordings hold, line by line: worms, frames, rate, neurons, states, and what is missing or odd."""
    lines = [f"{len(worms)} worm{'s' * (len(worms) != 1)} of {', '.join(sorted({worm.study for worm in worms}))}"]
    for worm in worms:
        frames, neurons = worm.traces.shape
        minutes = (worm.times[-1] - worm.times[0]) / 60
        lines += ["", f"{worm.worm}:", f"  {frames} frames, {minutes:.1f} min at {worm.frame_rate:.2f} Hz"]
        named = f"{len(worm.identified)} of them named: {_shorten(sorted(worm.identified))}"
        lines.append(f"  {neurons} neuron{'s' * (neurons != 1)}, {named}")
        states = "none"
        if worm.motor_state is not None:
            shares = [f"{name} {100 * share:.0f} %" for name, share in worm.state_shares.items()]
            states = f"{', '.join(shares)}; {100 * sum(worm.state_shares.values()):.0f} % of frames scored"
        lines.append(f"  motor states: {states}")
        if worm.behavior:
            lines.append(f"  other behaviour: {', '.join(worm.behavior)}")
        lines += [f"  note: {fault}" for fault in list_oddities(worm)]
    if len(worms) > 1:
        shared = set.intersection(*(set(worm.identified) for worm in worms))
        lines += ["", f"{len(shared)} neurons are named in every worm: {_shorten(sorted(shared))}"]
    return lines


def list_oddities(worm: Recording) -> Iterator[str]:
    """Yield what is missing or odd in a recording, in words."""
    if len(worm.stretches) > 1:
        yield f"{len(worm.stretches)} stretches, with pauses between them"
    yield from worm.notes
    doubtful = sum(map(bool, worm.ambiguous_names))
    if doubtful:
        yield f"{doubtful} of {len(worm.neuron_names)} neurons have ambiguous names, which are not used"
    if not worm.identified:
        yield "no neuron is named: models of named neurons cannot read it"
    if not worm.scored:
        yield "no motor state is scored: it can be decoded and forecast, but not used to train or score a decoder"


def fit_models(worms: Sequence[Recording], folder: Path) -> list[str]:
    """Return a line for each model in or below a folder: how many of its neurons there are, or what is wrong.

    Where there is none, the line says how to train one. Work directories of other programs hold none, and no line.
    """
    lines, kinds = [], (CONFIG_FILE, MODEL_FILE)
    places = {path.parent for kind in kinds for depth in ("", "*/", "*/*/") for path in folder.glob(depth + kind)}
    for place in sorted(places):
        try:
            model = load_model(place) if _holds_model(place) else None
        except InputError as error:
            lines.append(f"  {place}: cannot be used: {error}")
            continue
        if not isinstance(model, Decoder | Forecaster):  # predict takes no others.
            continue
        neurons, rate = model.neuron_names_, model.frame_rate_
        there = [len(set(neurons) & set(worm.identified)) for worm in worms]
        counts = f"{min(there)}" if min(there) == max(there) else f"{min(there)} to {max(there)}"
        masked = sorted(set(neurons).difference(*(worm.identified for worm in worms))) if max(there) else []
        fits = "fits" if min(there) == len(neurons) else "fits, other neurons masked" if max(there) else "does not fit"
        fits += f" (no worm has {_shorten(masked)})" if masked else ""
        lines.append(f"  {place}: {fits}; {counts} of its {len(neurons)} neurons are named; {rate:.2f} Hz")
    return lines or [NO_MODEL]


def _holds_model(place: Path) -> bool:
    if (place / MODEL_FILE).is_file():
        return True
    config = read_config(place)
    return config.get("experiment", "generalize") in OPENERS and "sweep" not in config  # As of `wormjax ablate`.


def _shorten(names: Sequence[str]) -> str:
    return (", ".join(names[:SHOWN_NAMES]) + ", ..." * (len(names) > SHOWN_NAMES)) or "none"

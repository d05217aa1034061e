"""Sections that several configs share, with their defaults; each config sets what is particular to its experiment.

What a field may hold stands in wormjax/tasks/config_checks.py.
"""

from ml_collections import ConfigDict


def experiment(name: str = "") -> ConfigDict:
    """Return a config with the seeds and the processes of an experiment; without a name it decodes motor states."""
    config = ConfigDict({"experiment": name} if name else {})
    config.seed = 0  # The first of `seeds` seeds.
    config.seeds = 1
    config.distributed = ConfigDict()  # Several processes that divide the runs, as jax.distributed.
    config.distributed.coordinator_address = ""  # HOST:PORT of the first process; "auto" for Slurm, MPI or a TPU pod.
    config.distributed.num_processes = 1
    config.distributed.process_id = 0
    return config


def recordings(**fields) -> ConfigDict:
    """Return a section `data` that names recordings of worms, with `fields` changed."""
    data = ConfigDict()
    data.study = "simulated"  # Or kato2015, nichols2017, dag2023, wormwideweb, nwb, csv, npz, container, auto.
    data.path = ""  # File or folder as downloaded.
    data.studies = ()  # In place of `study`: several that train together, with the states that they share.
    data.paths = ()  # Of each of them; () takes those in WORMJAX_DATA_DIR.
    data.neurons = "shared"  # Identified in all worms; "any", what a worm lacks masked; or names, "AVAL,AVAR,...".
    data.least_worms = 1  # With "any": in how many training worms a neuron must be named.
    data.unnamed = False  # With "any": whether neurons without a name join, as nodes without identity.
    data.states = "four"  # reverse, forward, dorsal turn, ventral turn; or "two": reverse, forward; or "own" names.
    data.state_map = ""  # Other names for the file's states: "REV=reverse, pause=forward".
    data.missing = "interpolate"  # Missing samples in gaps of up to 3 s, longer ones are masked; or "mask" all.
    data.scaling = "zscore"  # By the whole recording, as in published work; or minmax, none, calibration, robust.
    data.calibration_seconds = 180.0  # The first minutes, by which "calibration" scales and which are not scored.
    data.frame_rate = 0.0  # Hertz, one for all worms; 0 keeps each worm's own frames.
    data.simulation = ConfigDict({"seed": 0, "worms": 3, "minutes": 10.0})
    data.simulation.neurons = 15  # Of the wiring.
    data.simulation.named = 1.0  # The probability that a neuron has its name in a worm.
    data.update(fields)
    return data


def inputs(*names: str, **fields) -> ConfigDict:
    """Return a section `data` of `recordings` with the features that models are shown."""
    data = recordings(**fields)
    data.test_study = ""  # For "cross_study" another study; of `studies`, the one whose worms are left out.
    data.test_path = ""
    data.inputs = names  # trace, causal_derivative; to decode also smoothed_derivative, source_derivative.
    data.derivative_seconds = (5.0,)
    data.trace_weight = 1.0  # Multiplies the scaled trace; below 1, changes count for more than levels.
    return data


def protocol(name: str) -> ConfigDict:
    """Return a section `protocol`: which worms train and which are tested."""
    protocol = ConfigDict()
    # subsets, leave_one_worm_out, cross_study; to decode also same_worm; to forecast also within_recording.
    protocol.name = name
    protocol.train_counts = ()  # Numbers of training worms; () takes all.
    return protocol


def training(**fields) -> ConfigDict:
    """Return a section `train` that every experiment has, with `fields` changed or added."""
    train = ConfigDict()
    train.steps = 400
    train.steps_per_chunk = 100
    train.learning_rate = 3e-3
    train.weight_decay = 0.0
    train.schedule = "cosine"  # Or constant, plateau.
    train.patience = 10  # Validations; for schedule "plateau".
    train.clip_norm = 1.0  # Largest norm of the gradient; with an exact posterior, of each part's by itself.
    train.average_decay = 0.0  # Of an exponential average of the parameters; 0 for none.
    train.keep_best = False  # Keep the parameters of the best validation, not the last.
    train.temperature = 0.5  # Of sampled edges.
    train.kl_weight = 0.0
    train.placement = "runs"  # Over all devices: "runs" divides the runs, "batch" each batch; or "single".
    train.devices = 0  # 0 takes all.
    train.runs_at_once = 0  # Runs that a device vmaps at a time; 0 chooses: 1 on a CPU, all on a GPU or TPU.
    train.checkpoint_seconds = 60.0
    train.update(fields)
    return train


def training_on_worms(**fields) -> ConfigDict:
    """Return a section `train` for windows of recordings, with `fields` changed or added."""
    train = training()
    train.epochs = 0  # Instead of steps: passes over each run's own windows.
    train.window_stride = 1
    train.batch_windows = 32
    train.dropout = 0.0
    train.offset = 0.0  # Disturbances of what a network is shown, in units of scaled features.
    train.noise = 0.0
    train.neuron_dropout = 0.0
    train.edge_prior = ()  # Probability of each edge type, from which the graph departs at the price of kl_weight.
    train.update(fields)
    return train


def classification(**fields) -> ConfigDict:
    """Return a section `train` for classifiers of motor states, with `fields` changed or added."""
    train = training_on_worms(average_decay=0.99, offset=0.3, neuron_dropout=0.1)
    train.window_frames = 64
    train.gain = 0.2
    train.target_weight = 1.0  # Of each behaviour's squared error, in variances, beside the states' cross-entropy.
    train.members = 1  # Networks whose probabilities are averaged, each with its own initial parameters.
    train.update(fields)
    return train

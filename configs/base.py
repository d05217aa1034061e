"""Sections that several configs share, with their defaults. Each config then sets what is particular to its experiment.

The values that a field may have are defined in wormjax/tasks/config_checks.py.
"""

from ml_collections import ConfigDict


def experiment(name: str = "") -> ConfigDict:
    """Return a config with the seeds and the processes of an experiment; without a name it decodes motor states."""
    config = ConfigDict({"experiment": name} if name else {})
    config.seed = 0  # The first of `seeds` consecutive seeds.
    config.seeds = 1
    config.distributed = ConfigDict()  # Several processes that divide the runs, by jax.distributed.
    config.distributed.coordinator_address = ""  # HOST:PORT of the first process; "auto" for Slurm, MPI or a TPU pod.
    config.distributed.num_processes = 1
    config.distributed.process_id = 0
    return config


def recordings(**fields) -> ConfigDict:
    """Return a section `data` that names recordings of worms, with `fields` changed."""
    data = ConfigDict()
    data.study = "simulated"  # Or kato2015, nichols2017, dag2023, wormwideweb, nwb, csv, npz, container, auto.
    data.path = ""  # The file or folder.
    data.studies = ()  # Instead of `study`: several that train together, on the states that they share.
    data.paths = ()  # One per study; () takes the folders in WORMJAX_DATA_DIR.
    data.neurons = "shared"  # Those of all worms; "any": all, masked where absent; or names, "AVAL,AVAR".
    data.least_worms = 1  # With "any": in how many training worms a neuron must be named.
    data.unnamed = False  # With "any": whether neurons without a name join, as nodes without identity.
    data.states = "four"  # Reverse, forward, dorsal and ventral turn; "two": the first two; "own": the file's.
    data.state_map = ""  # Renames the file's states: "REV=reverse, pause=forward".
    data.missing = "interpolate"  # Fills gaps of up to 3 s and masks longer ones; "mask" masks all.
    data.scaling = "zscore"  # Over the whole recording, as published; or minmax, robust, calibration, none.
    data.calibration_seconds = 180.0  # The first seconds, which set the scale of "calibration" and are not scored.
    data.frame_rate = 0.0  # Hertz, for all worms; 0 keeps each worm's own frames.
    data.simulation = ConfigDict({"seed": 0, "worms": 3, "minutes": 10.0})
    data.simulation.neurons = 15  # Number of neurons in the wiring.
    data.simulation.named = 1.0  # The probability that a neuron is named in a worm.
    data.update(fields)
    return data


def inputs(*names: str, **fields) -> ConfigDict:
    """Return a section `data` of `recordings` with the features that models read."""
    data = recordings(**fields)
    data.test_study = ""  # The tested study of "cross_study"; with `studies`, the one whose worms are left out.
    data.test_path = ""
    data.inputs = names  # trace, causal_derivative; to decode also smoothed_derivative, source_derivative.
    data.derivative_seconds = (5.0,)
    data.trace_weight = 1.0  # Multiplies the scaled trace; below 1, changes weigh more than levels.
    return data


def protocol(name: str) -> ConfigDict:
    """Return a section `protocol`: which worms train and which are tested."""
    protocol = ConfigDict()
    # subsets, leave_one_worm_out, cross_study; to decode also same_worm; to forecast also within_recording.
    protocol.name = name
    protocol.train_counts = ()  # Sizes of the training sets; () takes all.
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
    train.clip_norm = 1.0  # Largest norm of the gradient (of each part's gradient, with an exact posterior).
    train.average_decay = 0.0  # Decay of an exponential average of the parameters; 0 for none.
    train.keep_best = False  # Keep the parameters of the best validation instead of the last.
    train.temperature = 0.5  # Of sampled edges.
    train.kl_weight = 0.0
    train.placement = "runs"  # How devices share the work: "runs" divides the runs, "batch" each batch; or "single".
    train.devices = 0  # 0 takes all.
    train.runs_at_once = 0  # Runs that one device trains at a time by vmap; 0: one on a CPU, all on a GPU or TPU.
    train.checkpoint_seconds = 60.0
    train.update(fields)
    return train


def training_on_worms(**fields) -> ConfigDict:
    """Return a section `train` for windows of recordings, with `fields` changed or added."""
    train = training()
    train.epochs = 0  # Passes over each run's windows, instead of steps.
    train.window_stride = 1
    train.batch_windows = 32
    train.dropout = 0.0
    train.offset = 0.0  # S.d. of a random constant added to each feature in training, in scaled units.
    train.noise = 0.0  # S.d. of noise added per frame in training.
    train.neuron_dropout = 0.0  # Share of the neurons hidden in training.
    train.edge_prior = ()  # Prior probability of each edge type; kl_weight weighs the divergence from it.
    train.update(fields)
    return train


def classification(**fields) -> ConfigDict:
    """Return a section `train` for classifiers of motor states, with `fields` changed or added."""
    train = training_on_worms(average_decay=0.99, offset=0.3, neuron_dropout=0.1)
    train.window_frames = 64
    train.gain = 0.2  # S.d. of a random factor (its logarithm) on each neuron in training.
    train.neuron_dropout_most = 0.0  # Above 0, each window's rate is drawn evenly from neuron_dropout to this.
    train.target_weight = 1.0  # Weight of each behaviour's squared error beside the states' cross-entropy.
    train.members = 1  # Networks, from different initial parameters, whose probabilities are averaged.
    train.update(fields)
    return train

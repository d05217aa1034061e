"""Neural relational inference on particles joined by springs; `:small` is for a laptop."""

from ml_collections import ConfigDict
from wormjax.configs import base


def get_config(variant: str = "full") -> ConfigDict:
    """The config of `python -m experiments.infer --config=configs/nri_springs.py[:small]`.

    "full" has the size of the reference (Kipf, Fetaya et al. 2018) and needs a GPU. The encoder reads what the
    decoder's messages explain (`models.edge_evidence`), which takes a tenth of the updates that an encoder of
    trajectories takes.
    """
    config = get_defaults(variant)
    config.model.encoder.name = "evidence"
    config.train.variance_floor = 1e-6  # A spring is a small part of the change.
    if variant == "small":
        config.model.encoder.hidden = 32
        config.train.batch_simulations = 32
        config.train.steps = 1_000
    return config


def get_defaults(variant: str = "full") -> ConfigDict:
    """The config that the configs of all systems begin with."""
    if variant not in ("full", "small"):
        raise ValueError(f"found the variant {variant!r}, expected full or small")
    small = variant == "small"
    config = base.experiment("infer")
    config.data, config.model = get_data(small), get_model(small)

    config.models = ("nri", "nri_supervised", "nri_true_graph", "lstm")
    # Also constant_velocity, damped_velocity, ridge, lagged_correlation.
    config.baselines = ("static", "var", "correlation", "partial_correlation", "granger")

    config.linear = ConfigDict()  # Of the baseline "ridge": one regression per step.
    config.linear.lags = (1, 2, 3, 4, 5, 6, 7)  # Reads the changes from these frames to the last one.
    config.linear.joint = True  # All objects from all; False: one regression per kind of object, from its own past.
    config.linear.centred = False  # Measures places from the mean of all objects.

    config.train, config.evaluate = get_training(small), get_evaluation()
    return config


def get_data(small: bool) -> ConfigDict:
    """The section `data`: systems, how they are simulated or read, and how they are scaled."""
    data = ConfigDict()
    data.system = "springs"  # Or charged, kuramoto.
    data.path = ""  # A folder of splits or one file of trajectories, instead of simulations.
    data.suffix = ""  # Selects .npy files by their suffix, such as springs5, in a folder of several systems.
    data.window = 0  # Cuts long simulations into windows of this many frames; 0: only where there are few.
    # For a file of trials, one array [frame, object, feature] each, cut into windows of test_frames frames:
    data.stride = 0  # Frames from one window to the next; 0: the length of a window.
    data.train_stride = 0  # The same for the trials that train.
    data.stretches = ()  # Also trains on trials slowed down by these factors: (1.1,).
    data.velocity = False  # Adds the velocity of each feature as a feature.
    data.trials = ConfigDict({"train": (), "valid": (), "test": ()})  # Names; () splits by shares, in order.
    data.fold = 0  # For a folder of subjects: which fold of them is tested.
    data.longest_period = 0.0  # Frames; changes slower than this are removed from each simulation. 0 keeps them.
    data.shuffle_objects = False  # Shuffles the objects of each simulation, as a control.
    data.cache = ""  # Folder for simulations; "" is the user's cache folder.
    data.seed = 0  # Of the simulations.
    data.objects = 5
    # Hides the last objects of each system from the models: a common cause that is not observed. With an exact
    # posterior, the rows nri_hidden infer them; the model nri_seeing observes them.
    data.hidden = 0
    data.frames = 49  # Frames that the encoder sees; the next frames of a test system are predicted.
    data.test_frames = 99
    sizes = (
        {"train": 20_000, "valid": 512, "test": 2_000} if small else {"train": 50_000, "valid": 2_000, "test": 10_000}
    )
    data.simulations = ConfigDict(sizes)
    data.simulation = ConfigDict()  # Arguments of the simulator.
    data.simulation.strengths = (0.0, 1.0)
    data.simulation.noise = 0.0
    data.scaling = "reference"  # Locations and velocities to [-1, 1]; "features": each feature; or none.
    return data


def get_model(small: bool) -> ConfigDict:
    """The section `model`: the encoder, the decoder, and what they have in common."""
    model = ConfigDict()
    model.edge_types = 0  # 0: as many as the systems have.
    # For systems that differ in the strength of all their edges: the strengths that an exact posterior tries, to infer
    # that of each system. () for one strength. See causal_temperature.py.
    model.strengths = ()
    model.mutual = False  # Both edges of a pair are known to have one type; for a listed posterior only.
    model.skip_first = True  # The first type has no message.
    model.precision = ""  # Of matrix products: "" is the device's own; or float32, bfloat16.
    model.encoder = ConfigDict()
    model.encoder.name = "cnn"  # Or mlp; or evidence, which reads an equivariant decoder's messages.
    model.encoder.hidden = 64 if small else 256
    model.encoder.differences = True  # Also reads the change from each frame to the next.
    model.encoder.relative = True  # Also reads sender minus receiver, on a logarithmic scale.
    model.encoder.kernels = (1, 1)
    model.encoder.stride = 2 if small else 1
    model.encoder.pooling = 1
    model.encoder.rounds = 2  # Passes over the pairs; a second one uses what the other edges explain.
    model.encoder.beliefs = 8  # Of an encoder of evidence: of how many steps, up to the last, it reads the beliefs.
    model.encoder.triangles = 0  # Of an encoder of evidence: how often it looks at edges by way of a third node.
    model.decoder = ConfigDict()
    # Its messages rotate with the system. With the others (mlp, recurrent, context), one edge type may come to mean
    # attraction from one side and repulsion from the other.
    model.decoder.name = "equivariant"
    model.decoder.hidden = 64 if small else 256
    model.decoder.relative = True  # Messages of mlp and recurrent depend on differences of objects only.
    model.decoder.differences = False  # An mlp decoder also reads the last change.
    # Of the messages of mlp, recurrent and horizon, with a sampled posterior. Or mean, max, attention, gin, gcn.
    model.decoder.aggregation = "sum"
    model.decoder.code = 8  # Size of the code that tells a context decoder the objects apart.
    model.decoder.rounds = 2  # Of messages in a horizon decoder, which predicts all steps at once.
    model.decoder.given = ()  # Names of objects whose future a horizon decoder is given.
    model.decoder.additive = False  # Messages of a context decoder add up, as those of an equivariant one do.
    model.decoder.unseen = ()  # Numbers of the features that a context decoder predicts but does not read.
    model.lstm_hidden = 128 if small else 256
    return model


def get_training(small: bool) -> ConfigDict:
    """The section `train`: how the graph is learnt, and from how much."""
    train = base.training(steps=10_000 if small else 100_000, learning_rate=3e-3 if small else 5e-4)
    train.task = "unsupervised"
    # How the graph is learnt. "exact" sums the decoder's likelihood over all graphs; "listed" over the likeliest ones,
    # for many objects (nri_springs10.py); "sampled" draws from the encoder (nri_springs_sampled.py) and allows decoders
    # with memory; "pairwise" is for effects faster than a frame (netsim.py).
    train.posterior = "exact"
    train.combinations = 64  # Of the edges that arrive at an object; for a listed posterior only.
    # An encoder of evidence learns the posterior of other frames than those that it reads, as many as have no segment.
    train.cross_fitted = False
    train.baseline_steps = 1_500 if small else 20_000  # Updates of the bounds and of the LSTM.
    train.steps_per_chunk = 250 if small else 500
    train.batch_simulations = 64 if small else 128
    # Rotates by right angles and mirrors each simulation at random; otherwise the encoder overfits 20,000 of them.
    train.turn_and_mirror = True
    train.mirror = False  # Mirrors along each axis about its middle, for a court that is not square.
    train.segments = 24 if small else 48  # Pieces of each simulation that the decoder predicts.
    train.decoded_frames = 0  # Cuts pieces from the first frames only; 0 for all.
    train.burn_in = 1  # True frames at the start of a piece.
    train.roll_out = 1  # Frames predicted after them.
    train.roll_out_weight = 0.0  # Weight of the roll-out beside an exact posterior, which predicts one frame.
    train.given = 1.0  # Probability that a prediction starts from a true frame, not a predicted one.
    train.given_end = 0.0
    train.keep_best = True
    train.temperature_end = 0.5
    train.hard = False  # One-hot edge types, with the gradient of relaxed ones.
    train.prior = ()  # Probability of each edge type; () for uniform.
    train.kl_weight = 1.0  # Changes to kl_weight_end by a constant factor per step.
    train.kl_weight_end = 1.0
    train.kl_warm_up = 0.0  # Share of the steps in which the weight grows from 0.
    train.free_bits = 0.0  # Bits per edge without cost.
    train.variance = 0.0  # Of the likelihood; 0 estimates it. The reference has 5e-5.
    train.variance_floor = 1e-3  # Of an estimated variance, relative to the variance of the frames' change.
    train.degrees_of_freedom = 0.0  # Of a Student's t likelihood; 0 for the Gaussian.
    # Variance of each object's own offset and gain in its predictions, relative to the likelihood's; 0 where all
    # objects are measured in the same units. For an exact or a listed posterior only.
    train.offset_and_gain = 0.0
    train.placement = "batch"  # How devices share work: "batch" divides each batch, "runs" the seeds; "single".
    return train


def get_evaluation() -> ConfigDict:
    """The section `evaluate`: what is scored."""
    evaluate = ConfigDict()
    evaluate.steps = (1, 10, 20)  # Steps whose errors are reported.
    evaluate.error = "mse"  # Mean squared, in scaled units; or "distance", in units of the file.
    evaluate.features = ()  # Names of the scored features; () for all.
    evaluate.futures = 0  # Sampled futures, whose best is also scored; for a horizon decoder.
    evaluate.unscored = ()  # Names of objects whose predictions are not scored.
    # Gradient steps that adapt the encoder's edges to each test system (Löwe et al. 2022), for the rows nri_adapted.
    # For an exact posterior only, whose own edges (nri_posterior) they approach.
    evaluate.adaptation_steps = 0
    evaluate.adaptation_rate = 0.1  # Of Adam.
    return evaluate

"""Neural relational inference on particles joined by springs; `:small` is what a laptop trains in half an hour."""

import ml_collections
from ml_collections import ConfigDict
from wormjax.configs import base


def get_config(variant: str = "full") -> ml_collections.ConfigDict:
    """The config of `python -m experiments.infer --config=configs/nri_springs.py[:small]`.

    "full" is of the reference's size (Kipf, Fetaya et al. 2018), for a GPU.
    """
    if variant not in ("full", "small"):
        raise ValueError(f"found the variant {variant!r}, expected full or small")
    small = variant == "small"
    config = base.experiment("infer")

    config.data = ml_collections.ConfigDict()
    config.data.system = "springs"  # Or charged, kuramoto.
    config.data.path = ""  # A folder of splits or one file of trajectories, instead of simulations.
    config.data.suffix = ""  # Of .npy files, such as springs5, where a folder holds those of several systems.
    config.data.window = 0  # Frames of the windows that long simulations of a file are cut into; 0: where they are few.
    # Of a file of trials, one array [frame, object, feature] each, which are cut into windows of test_frames frames:
    config.data.stride = 0  # Frames from one window to the next; 0: a window.
    config.data.train_stride = 0  # The same, of the trials that train.
    config.data.stretches = ()  # Factors by which trials are slowed down to train, too: (1.1,).
    config.data.velocity = False  # Whether each feature's velocity is a feature, too.
    config.data.trials = ConfigDict({"train": (), "valid": (), "test": ()})  # Their names; else by shares, in order.
    config.data.fold = 0  # Of a folder of subjects: others that are tested, so that all can be, each in its turn.
    config.data.longest_period = 0.0  # Frames; slower changes are taken out of each simulation. 0 keeps them.
    config.data.shuffle_objects = False  # Number the objects of each simulation anew, as a control.
    config.data.cache = ""  # Folder that keeps simulations; "" is the user's cache folder.
    config.data.seed = 0  # Of the simulations.
    config.data.objects = 5
    # The last objects of a system, which the models are not shown: a common cause that is not observed. With an exact
    # posterior, the rows nri_hidden infer them; the model nri_seeing is shown them.
    config.data.hidden = 0
    config.data.frames = 49  # That the encoder sees; a test system's next frames are predicted.
    config.data.test_frames = 99
    sizes = (
        {"train": 20_000, "valid": 512, "test": 2_000} if small else {"train": 50_000, "valid": 2_000, "test": 10_000}
    )
    config.data.simulations = ml_collections.ConfigDict(sizes)
    config.data.simulation = ml_collections.ConfigDict()  # Arguments of the simulator.
    config.data.simulation.strengths = (0.0, 1.0)
    config.data.simulation.noise = 0.0
    config.data.scaling = "reference"  # To [-1, 1], locations and velocities apart; features, each by itself; or none.

    config.model = ml_collections.ConfigDict()
    config.model.edge_types = 0  # 0: as many as the systems have.
    # Strengths of all edges of a system, where it may differ from system to system: an exact posterior tries each of
    # these and infers it; () for one. See causal_temperature.py.
    config.model.strengths = ()
    config.model.skip_first = True  # The first type has no message.
    config.model.precision = ""  # Of matrix products: "" is the device's own; or float32, bfloat16.
    config.model.encoder = ml_collections.ConfigDict()
    config.model.encoder.name = "cnn"  # Or mlp.
    config.model.encoder.hidden = 64 if small else 256
    config.model.encoder.differences = True  # Show it each frame's change to the next, too.
    config.model.encoder.relative = True  # And the differences of sender and receiver, on a logarithmic scale, too.
    config.model.encoder.kernels = (1, 1)
    config.model.encoder.stride = 2 if small else 1
    config.model.encoder.pooling = 1
    config.model.encoder.rounds = 2  # Looks at the pairs; a second one knows what the other edges explain.
    config.model.decoder = ml_collections.ConfigDict()
    # Messages that turn with the system. In those of any form (mlp, recurrent, context) one edge type may come to stand
    # for attraction from one side and repulsion from the other.
    config.model.decoder.name = "equivariant"
    config.model.decoder.hidden = 64 if small else 256
    config.model.decoder.relative = True  # An mlp's or recurrent one's messages depend on differences of objects alone.
    config.model.decoder.differences = False  # Show an mlp decoder the last change, too.
    # Of an mlp's or recurrent one's messages, where the posterior is sampled: mean, max, attention, gin, gcn.
    config.model.decoder.aggregation = "sum"
    config.model.decoder.code = 8  # Numbers that tell a context decoder one object from another.
    config.model.decoder.rounds = 2  # Of messages, of a horizon decoder, which predicts all steps at once.
    config.model.decoder.given = ()  # Names of objects whose future a horizon decoder is given.
    config.model.decoder.unseen = ()  # Features, by number, that a context decoder predicts and is not shown.
    config.model.lstm_hidden = 128 if small else 256

    config.models = ("nri", "nri_supervised", "nri_true_graph", "lstm")
    # Also constant_velocity, damped_velocity, ridge, lagged_correlation.
    config.baselines = ("static", "var", "correlation", "partial_correlation", "granger")

    config.linear = ConfigDict()  # Of the baseline "ridge", one regression per step.
    config.linear.lags = (1, 2, 3, 4, 5, 6, 7)  # Frames before the last one, whose changes to it are shown.
    config.linear.joint = True  # All objects from all; or one regression per kind of object, from its own past.
    config.linear.centred = False  # Show places as distances from the mean of all objects.

    config.train = base.training(steps=10_000 if small else 100_000, learning_rate=3e-3 if small else 5e-4)
    config.train.task = "unsupervised"
    # Of the graph: over all graphs, by the decoder, so that neither it nor the encoder waits for the other. Or else
    # "listed" (nri_springs10.py), over the likeliest graphs, where objects are many; "sampled" from the encoder
    # (nri_springs_sampled.py), where the decoder has a memory, too; or "pairwise" (netsim.py), where effects are faster
    # than frames.
    config.train.posterior = "exact"
    config.train.combinations = 64  # Of edges that arrive at an object; of a listed posterior alone.
    config.train.baseline_steps = 1_500 if small else 20_000  # Of the bounds and the LSTM.
    config.train.steps_per_chunk = 250 if small else 500
    config.train.batch_simulations = 64 if small else 128
    # Show each simulation turned and mirrored at random, as a square can be: the encoder soon knows 20,000 by heart.
    config.train.turn_and_mirror = True
    config.train.mirror = False  # Along each axis alone, about its middle: a court that is not square.
    config.train.segments = 24 if small else 48  # Pieces of each simulation that the decoder goes over.
    config.train.decoded_frames = 0  # The first frames, that pieces are cut from; 0 for all.
    config.train.burn_in = 1  # True frames that a piece begins with.
    config.train.roll_out = 1  # Frames after them, which are predicted.
    config.train.roll_out_weight = 0.0  # Beside an exact posterior, which goes one frame ahead by itself.
    config.train.given = 1.0  # Probability that the next prediction goes on from a true frame, not a predicted one.
    config.train.given_end = 0.0
    config.train.keep_best = True
    config.train.temperature_end = 0.5
    config.train.hard = False  # One-hot edge types with the gradient of relaxed ones.
    config.train.prior = ()  # Probability of each edge type; () for uniform.
    config.train.kl_weight = 1.0  # It goes to kl_weight_end by a constant factor a step.
    config.train.kl_weight_end = 1.0
    config.train.kl_warm_up = 0.0  # Share of the steps over which the weight grows from 0.
    config.train.free_bits = 0.0  # Bits per edge that cost nothing.
    config.train.variance = 0.0  # Of the likelihood; 0 estimates it. The reference has 5e-5.
    config.train.variance_floor = 1e-3  # Of an estimated one, in units of the frames' own change, squared.
    config.train.degrees_of_freedom = 0.0  # Of a Student's t likelihood; 0 for the Gaussian.
    # Variance of an offset and a gain of each object's own in what is predicted of it, in units of the likelihood's; 0
    # where all are measured in the same units. With an exact posterior alone.
    config.train.offset_and_gain = 0.0
    config.train.placement = "batch"  # Over all devices: "batch" shares out each batch, "runs" the seeds; or "single".

    config.evaluate = ml_collections.ConfigDict()
    config.evaluate.steps = (1, 10, 20)  # Whose errors are reported.
    config.evaluate.error = "mse"  # Mean squared, in scaled units; or distance, in those of the file.
    config.evaluate.features = ()  # Names of the features that are scored; () for all.
    config.evaluate.futures = 0  # Sampled futures, whose best is scored too; of predictions of all steps at once.
    config.evaluate.unscored = ()  # Names of objects whose predictions are not scored.
    # Gradient steps that adapt the encoder's edges to each test system (Löwe et al. 2022): the rows nri_adapted. With
    # an exact posterior alone, whose own edges (nri_posterior) are what they go towards.
    config.evaluate.adaptation_steps = 0
    config.evaluate.adaptation_rate = 0.1  # Of Adam.
    return config

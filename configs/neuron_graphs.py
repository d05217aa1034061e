"""Graphs between named neurons, against the wiring, the atlas, other worms and other seeds; simulated by default.

`--config.data.study=dag2023 --config.data.path=FOLDER --config.references.atlas=FILE` takes the worms of Dag et al.
(2023) and the signal-propagation atlas of Randi et al. (2023).
"""

import ml_collections
from wormjax.configs import base, forecast, reconstruct

SHARED = ("seed", "seeds", "protocol", "distributed")  # Given once, for all tasks.
OWN = ("inputs", "derivative_seconds", "trace_weight")  # Fields of `data` that each task has of its own.


def get_config() -> ml_collections.ConfigDict:
    """The config of `python -m experiments.relate --config=configs/neuron_graphs.py`."""
    config = base.experiment("relate")
    config.seeds = 2  # Of the networks; agreement between seeds needs two.
    config.data = base.recordings()
    config.data.neurons = "any"
    config.data.least_worms = 2  # In how many worms two neurons must be seen together to be scored.
    config.data.simulation.update({"worms": 5, "minutes": 6.0, "neurons": 24, "named": 0.9})

    config.references = ml_collections.ConfigDict()  # Of real worms; simulated ones have their own wiring.
    config.references.kinds = ("chemical", "electrical", "atlas")
    config.references.atlas = ""  # funatlas.h5, its arrays as .npz, or the folder; "" leaves the atlas out.

    config.relations = ml_collections.ConfigDict()
    config.relations.methods = ("correlation", "lagged_correlation", "partial_correlation", "innovations")
    config.relations.methods += ("combined", "granger", "var", "sparse_var")
    config.relations.lag = 1  # Frames, for lagged_correlation.
    config.relations.order = 2  # Past frames, for granger, var and var_response.
    config.relations.ridge = 0.1  # Of var and var_response.
    config.relations.granger_ridge = 0.01
    config.relations.shrinkage = 0.8  # Of partial correlations.

    # The mean over the neurons of two classes counts for this number of worms in the score of each pair; of these,
    # that by which other worms best predict the scores of a worm that is left out.
    config.consensus = ml_collections.ConfigDict({"class_worms": (0.5, 1.0, 2.0, 4.0, 8.0)})

    config.nulls = ml_collections.ConfigDict({"rewirings": 200, "permutations": 200, "shifts": 39, "draws": 400})
    config.curves = ml_collections.ConfigDict({"shares": (0.25, 0.5, 1.0)})  # Of each recording; () for no curves.

    config.perturbation = ml_collections.ConfigDict()
    config.perturbation.held_seconds = 1.0  # For which one neuron is driven.
    config.perturbation.seconds = 10.0  # Over which the others' response is averaged.
    config.perturbation.starts = 16  # Frames from which a network's forecast starts, in each worm.

    config.report = ml_collections.ConfigDict({"method": "combined", "edges": 500})  # Drawn, and edges in GraphML.
    config.models = ("hidden_neuron",)  # And forecaster, whose responses to a drive are scored.
    config.tasks = ml_collections.ConfigDict()  # Whose networks are trained; their sections mean what they mean there.
    for name, module in (("reconstruct", reconstruct), ("forecast", forecast)):
        task = module.get_config()
        for field in SHARED:
            del task[field]
        for field in [field for field in task.data if field not in OWN]:
            del task.data[field]
        config.tasks[name] = task
    config.tasks.reconstruct.baselines, config.tasks.reconstruct.mixture = (), ()
    config.tasks.reconstruct.train.steps = 300
    config.tasks.forecast.models = ("recurrent",)
    config.tasks.forecast.baselines = ()
    config.tasks.forecast.split.validation_fraction = 0.0
    config.tasks.forecast.train.keep_best = False
    config.tasks.forecast.linear.orders = (8,)
    return config

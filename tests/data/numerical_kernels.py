"""Every numerical kernel that runs on the device, how exact it is at float32, and the test that holds it to that.

`value` and `gradient` are the largest errors allowed against float64, relative to the largest entry of the array (the
smallest arrays to a hundredth of the largest of all: see float64_reference.py). `reference`: "numpy" is an
independent float64 implementation in plain numpy or SciPy, which the same function at float64 in JAX must also agree
with to 1e-9, its gradient to finite differences; "float64" is the same function at float64 in JAX, for networks whose
parts have a reference in numpy. "exact": only copies or counts. `test` is the file and the function, or the file alone
where its cases are named as the kernels.

tests/test_float64_references.py finds kernels that are missing here.
"""

from typing import NamedTuple


class Kernel(NamedTuple):
    """What is promised of a kernel; `gradient` is None where nothing is trained through it."""

    value: float
    gradient: float | None
    reference: str
    test: str


MODELS = "tests/models/test_float64_models.py"
NETWORKS = "tests/models/test_float64_networks.py"
TRAINING = "tests/training/test_float64_training.py"
SIMULATION = "tests/simulation/test_float64_simulation.py"
PREDICT = "tests/tasks/decode/test_float64_windows.py"
GRAPHS = "tests/test_graphs.py"

KERNELS = {
    # Graphs: sums and copies.
    "graphs.send": Kernel(0.0, 1e-6, "exact", f"{GRAPHS}::test_from_nodes_to_edges_equals_jraph_with_its_gradient"),
    "graphs.receive": Kernel(0.0, 1e-6, "exact", f"{GRAPHS}::test_from_nodes_to_edges_equals_jraph_with_its_gradient"),
    "graphs.sum_messages": Kernel(1e-6, 1e-6, "numpy", MODELS),
    "graphs.edges_to_square": Kernel(0.0, 1e-6, "numpy", MODELS),
    "graphs.join_edges": Kernel(1e-6, 1e-6, "numpy", MODELS),
    # Layers.
    "models.layers.elu": Kernel(1e-6, 1e-6, "numpy", MODELS),
    "models.layers.drop_channels": Kernel(1e-6, 1e-6, "numpy", MODELS),
    "models.layers.mask_frames": Kernel(0.0, 0.0, "numpy", MODELS),
    "models.layers.stack_frames": Kernel(
        0.0,
        1e-6,
        "exact",
        "tests/models/test_layers.py::test_stacked_frames_are_those_at_the_offsets_with_zeros_beyond_the_ends",
    ),
    "models.layers.TemporalConvolution": Kernel(2e-6, 2e-6, "numpy", MODELS),
    "models.layers.PairDense": Kernel(2e-6, 2e-6, "numpy", MODELS),
    "models.layers.RelativeDense": Kernel(2e-6, 2e-6, "numpy", MODELS),
    "models.layers.multiply_rounded": Kernel(
        1e-5,
        1e-5,
        "numpy",
        "tests/models/test_precision.py::test_a_product_is_that_of_rounded_operands_and_so_is_its_gradient",
    ),
    "models.layers.dense_precision": Kernel(
        2e-2,
        2e-2,
        "float64",
        "tests/models/test_precision.py::test_outputs_and_gradients_are_off_by_the_rounding_of_bfloat16",
    ),
    "models.sampling.sample_edges": Kernel(1e-5, 1e-5, "numpy", MODELS),
    "models.sampling.kl_divergence": Kernel(1e-6, 1e-6, "numpy", MODELS),
    # Encoders and decoders.
    "models.encoders.Mlp": Kernel(2e-6, 2e-6, "numpy", MODELS),
    "models.encoders.MlpEncoder": Kernel(5e-6, 5e-6, "numpy", MODELS),
    "models.encoders.CnnEncoder": Kernel(5e-6, 1e-5, "numpy", MODELS),
    "models.decoders.TypedMessages": Kernel(2e-6, 2e-6, "numpy", MODELS),
    "models.aggregation.PairAggregation": Kernel(2e-6, 5e-6, "numpy", MODELS),
    "models.aggregation.NodeAggregation": Kernel(5e-6, 5e-6, "numpy", MODELS),
    "models.aggregation.normalise_degrees": Kernel(1e-6, 2e-6, "numpy", MODELS),
    "models.decoders.MlpDecoder": Kernel(5e-6, 5e-6, "numpy", MODELS),
    "models.decoders.EquivariantDecoder": Kernel(5e-6, 1e-5, "numpy", MODELS),
    "models.decoders.HistoryCode": Kernel(5e-6, 5e-6, "numpy", MODELS),
    "models.decoders.ContextDecoder": Kernel(5e-6, 5e-6, "numpy", MODELS),
    "models.decoders.RecurrentDecoder": Kernel(5e-6, 5e-6, "numpy", MODELS),
    "models.decoders.JointLstm": Kernel(5e-6, 5e-6, "numpy", MODELS),
    "models.decoders.roll_out": Kernel(1e-5, 1e-5, "numpy", MODELS),
    "models.edge_chains.follow_chains": Kernel(5e-6, 1e-5, "numpy", MODELS),
    "models.nri.encode_frames": Kernel(1e-5, 5e-5, "float64", NETWORKS),
    "models.nri.encode": Kernel(1e-5, 2e-5, "float64", NETWORKS),
    "models.nri.decode": Kernel(2e-5, 5e-5, "float64", NETWORKS),
    "models.pairwise_posterior.measure_pairs": Kernel(1e-5, 2e-5, "numpy", MODELS),
    "models.pairwise_posterior.infer_pairs": Kernel(2e-5, 5e-5, "numpy", MODELS),
    "models.nri.decode_combinations": Kernel(1e-5, 1e-5, "numpy", MODELS),
    "models.exact_posterior.weigh_combinations": Kernel(2e-6, 5e-6, "numpy", MODELS),
    "models.exact_posterior.marginalise_edges": Kernel(1e-6, 1e-6, "numpy", MODELS),
    # Classifiers.
    "models.classifiers.TemporalReadOut": Kernel(1e-5, 1e-5, "float64", NETWORKS),
    "models.classifiers.MlpClassifier": Kernel(1e-5, 1e-5, "float64", NETWORKS),
    "models.classifiers.RecurrentClassifier": Kernel(1e-5, 1e-5, "float64", NETWORKS),
    "models.classifiers.TemporalConvolutionClassifier": Kernel(1e-5, 1e-5, "float64", NETWORKS),
    "models.classifiers.flatten_neurons": Kernel(0.0, 0.0, "float64", NETWORKS),
    "models.classifiers.Correction": Kernel(1e-5, 1e-5, "float64", NETWORKS),
    "models.graph_classifier.NeuronEmbedding": Kernel(1e-5, 1e-5, "float64", NETWORKS),
    "models.graph_classifier.GraphClassifier": Kernel(2e-5, 5e-5, "float64", NETWORKS),
    "models.any_neurons.AnyNeuronDecoder": Kernel(2e-5, 5e-5, "float64", NETWORKS),
    "models.wang2021.BatchNormMlp": Kernel(1e-5, 5e-5, "float64", NETWORKS),
    "models.wang2021.FrameNorm": Kernel(1e-5, 1e-5, "numpy", MODELS),
    "models.wang2021.WangMlp": Kernel(2e-5, 1e-4, "float64", NETWORKS),
    "models.wang2021.WangGraph": Kernel(2e-5, 1e-4, "float64", NETWORKS),
    "models.wang2021.NodeProducts": Kernel(2e-6, 2e-6, "numpy", MODELS),
    "models.wang2021.PairNetwork": Kernel(5e-6, 5e-6, "numpy", MODELS),
    "models.wang2021.sum_frames": Kernel(5e-6, 5e-6, "numpy", MODELS),
    "models.wang2021.sum_senders": Kernel(5e-6, 5e-6, "numpy", MODELS),
    "models.wang2021.mix_features": Kernel(2e-6, 2e-6, "numpy", MODELS),
    "models.wang2021.drop_diagonal": Kernel(0.0, 0.0, "numpy", MODELS),
    # Forecasters.
    "models.forecasters.SummedMessages": Kernel(5e-6, 5e-6, "numpy", MODELS),
    "models.forecasters.GraphForecaster": Kernel(2e-5, 1e-4, "float64", NETWORKS),
    "models.forecasters.RecurrentForecaster": Kernel(2e-5, 1e-4, "numpy", NETWORKS),
    "models.forecasters.MlpForecaster": Kernel(2e-5, 1e-4, "numpy", NETWORKS),
    "models.forecast_roll_outs.predict": Kernel(2e-5, 1e-4, "numpy", NETWORKS),
    "models.wang2021_forecasters.WangGraphForecaster": Kernel(2e-5, 1e-4, "float64", NETWORKS),
    "models.wang2021_forecasters.WangMlpForecaster": Kernel(2e-5, 1e-4, "float64", NETWORKS),
    # Simulators: float64 on the device, but for the worms; each force alone is tried at float32.
    "simulation.charged.push_charges": Kernel(5e-6, None, "numpy", SIMULATION),
    "simulation.charged.simulate_charged": Kernel(
        1e-6, None, "numpy", "tests/simulation/test_charged.py::test_agrees_with_a_fine_scipy_integration"
    ),
    "simulation.springs.pull_springs": Kernel(2e-6, None, "numpy", SIMULATION),
    "simulation.springs.simulate_springs": Kernel(
        1e-6, None, "numpy", "tests/simulation/test_springs.py::test_agrees_with_a_fine_scipy_integration"
    ),
    "simulation.particles.reflect": Kernel(1e-6, None, "numpy", SIMULATION),
    "simulation.particles.integrate_particles": Kernel(
        1e-9, None, "numpy", f"{SIMULATION}::test_particles_move_as_in_numpy"
    ),
    "simulation.particles.draw_particles": Kernel(1e-6, None, "numpy", SIMULATION),
    "simulation.particles.observe_particles": Kernel(
        1e-6, None, "numpy", f"{SIMULATION}::test_what_is_drawn_is_of_the_scale_and_type_that_is_asked_for"
    ),
    "simulation.ensembles.draw_edge_types": Kernel(
        0.0, None, "numpy", f"{SIMULATION}::test_what_is_drawn_is_of_the_scale_and_type_that_is_asked_for"
    ),
    "simulation.ensembles.simulate_chunks": Kernel(
        1e-6,
        None,
        "exact",
        "tests/simulation/test_springs.py::test_one_simulation_depends_on_the_key_and_its_number_alone",
    ),
    "simulation.kuramoto.turn_phases": Kernel(2e-6, None, "numpy", SIMULATION),
    "simulation.kuramoto.integrate_phases": Kernel(
        1e-12, None, "numpy", f"{SIMULATION}::test_phases_turn_as_in_numpy_by_runge_kutta"
    ),
    "simulation.kuramoto.simulate_kuramoto": Kernel(
        1e-5, None, "numpy", "tests/simulation/test_kuramoto.py::test_recorded_graph_is_the_graph_of_the_phases"
    ),
    "simulation.two_cycles.find_drift": Kernel(2e-6, None, "numpy", SIMULATION),
    "simulation.two_cycles.simulate_two_cycles": Kernel(1e-6, None, "numpy", SIMULATION),
    "simulation.worms.simulate_worms": Kernel(2e-4, None, "numpy", SIMULATION),
    # Training.
    "training.step.train_chunk": Kernel(
        5e-5, None, "numpy", f"{TRAINING}::test_adam_clips_decays_and_averages_as_numpy_does"
    ),
    "training.objectives.classification.augment_features": Kernel(2e-6, None, "numpy", TRAINING),
    "training.objectives.classification.classification": Kernel(5e-6, 1e-5, "float64", TRAINING),
    "training.objectives.classification.cut_windows": Kernel(
        0.0, None, "exact", "tests/training/test_runs.py::test_cut_windows_are_the_frames_that_the_table_says"
    ),
    "training.objectives.classification.draw_windows": Kernel(
        0.0,
        None,
        "exact",
        "tests/training/test_runs.py::test_every_drawn_window_is_of_the_run_s_own_worms_and_training_frames",
    ),
    "training.objectives.future_states.split_answers": Kernel(0.0, 0.0, "numpy", TRAINING),
    "training.objectives.future_states.AheadObjective": Kernel(5e-6, 1e-5, "float64", TRAINING),
    "training.objectives.forecasting.trajectory_nll": Kernel(2e-6, 2e-6, "numpy", TRAINING),
    "training.objectives.forecasting.average_modes": Kernel(2e-6, 2e-6, "numpy", TRAINING),
    "training.objectives.forecasting.ForecastObjective": Kernel(2e-5, 1e-4, "float64", TRAINING),
    **{
        f"models.horizons.{name}": Kernel(1e-5, 1e-5, "float64", "tests/models/test_float64_horizons.py")
        for name in ("encode", "predict")
    },
    "training.objectives.reconstruction.reconstruction": Kernel(
        1e-5,
        None,
        "numpy",
        "tests/training/objectives/test_reconstruction_objective.py"
        "::test_the_loss_is_the_mean_square_of_the_hidden_samples_that_are_there",
    ),
    "models.reconstruction.ReconstructionNetwork": Kernel(
        1e-5,
        1e-5,
        "float64",
        "tests/models/test_reconstruction_network.py::test_the_network_and_its_gradient_are_those_at_float64",
    ),
    "training.likelihoods.negative_log_likelihood": Kernel(5e-6, 5e-6, "numpy", TRAINING),
    "models.units.take_out_units": Kernel(2e-6, 1e-5, "numpy", TRAINING),
    "models.units.estimate_units": Kernel(2e-6, None, "numpy", TRAINING),
    "models.units.Units": Kernel(2e-6, None, "numpy", TRAINING),
    "training.likelihoods.find_variance": Kernel(1e-6, None, "numpy", TRAINING),
    "training.objectives.nri_exact.exact_evidence": Kernel(2e-5, 1e-4, "float64", TRAINING),
    "training.objectives.arriving_edges.AllCombinations": Kernel(2e-5, None, "float64", TRAINING),
    "training.objectives.nri_exact.price_posterior": Kernel(2e-6, None, "numpy", TRAINING),
    "training.objectives.nri_sampled.evidence_lower_bound": Kernel(1e-5, 1e-4, "float64", TRAINING),
    "training.objectives.system_batches.draw_batch": Kernel(
        0.0,
        None,
        "exact",
        "tests/training/objectives/test_nri_sampled.py::test_the_shards_of_a_batch_join_to_the_whole",
    ),
    "training.objectives.roll_outs.cut_segments": Kernel(
        0.0,
        None,
        "exact",
        "tests/training/objectives/test_nri_sampled.py::test_segments_are_pieces_that_begin_anywhere",
    ),
    "training.objectives.roll_outs.tile_segments": Kernel(
        0.0,
        None,
        "exact",
        "tests/training/objectives/test_nri_sampled.py::test_tiles_predict_every_frame_once_but_for_what_is_left_over",
    ),
    "training.objectives.nri_sampled.best_accuracy": Kernel(
        1e-6,
        None,
        "numpy",
        "tests/training/objectives/test_nri_sampled.py::test_the_best_accuracy_is_that_of_the_best_renaming",
    ),
    # Features.
    "features.symmetries.turn_and_mirror": Kernel(
        1e-6,
        None,
        "numpy",
        "tests/features/test_symmetries.py::test_a_simulation_is_turned_as_a_whole_by_a_symmetry_drawn_uniformly",
    ),
    # Evaluation.
    "tasks.decode.windows.predict_stretches": Kernel(2e-6, None, "numpy", PREDICT),
}

MAPPED = "only maps kernels of this table over runs and samples: "
NETWORK = "only builds a network or its parameters; the network's own entry has the numbers"
MEASURED = "a benchmark: it takes times and no figures"
WHOLE = "whole numbers and keys only, which have no rounding"

# Kernels without a reference of their own, and why.
EXCEPTIONS = {
    "tasks.ahead.networks.build_answering": MAPPED + "models.classifiers.Correction",
    "tasks.ahead.networks.build_module": NETWORK,
    "tasks.forecast.graphs.measure_followers": MAPPED + "models.forecast_roll_outs.predict",
    "tasks.forecast.networks.build_forecaster": MAPPED + "models.forecast_roll_outs.predict",
    "tasks.forecast.networks.build_module": NETWORK,
    "tasks.reconstruct.networks.reconstruct": MAPPED + "models.reconstruction.ReconstructionNetwork",
    "tasks.infer.outputs.infer_edges": MAPPED + "models.nri.encode",
    "tasks.infer.outputs.predict_frames": MAPPED + "models.nri.decode",
    "tasks.manifold.report.plot_toy": MAPPED + "simulation.two_cycles.simulate_two_cycles",
    "features.systems.open_systems": MAPPED + "the simulators",
    "graphs.complete_graph": WHOLE,
    "models.any_neurons.IdentityEmbedding": "part of models.any_neurons.AnyNeuronDecoder",
    "models.any_neurons.PresentEncoder": "part of models.any_neurons.AnyNeuronDecoder",
    "models.catalog.build_classifier": NETWORK,
    "models.forecast_roll_outs.clamp_lacking": WHOLE,
    "models.forecasters.GivenMessages": "as models.forecasters.SummedMessages, along a list of edges",
    "models.forecasters.WholeForecaster": "what models.forecasters.RecurrentForecaster and MlpForecaster share",
    "models.forecast_roll_outs.initialise": NETWORK,
    "models.layers.dense": "the layer of models.layers.TemporalConvolution, whose entry has both",
    "models.layers.draw_keys": WHOLE,
    "models.layers.draw_masks": WHOLE,
    "models.layers.keep_channels": "models.layers.drop_channels is its whole",
    "models.layers.multiply_rows": "the product of models.graph_classifier.NeuronEmbedding, whose entry has both",
    "models.sampling.sample_graphs": "models.sampling.sample_edges in each window, and a softmax",
    "models.nri.initialise": NETWORK,
    "models.encoders.RecurrentEncoder": MAPPED + "models.nri.encode_frames is its whole",
    "models.edge_chains.ignore_absent": "selects, and computes nothing",
    "models.nri.decode_on_prior": MAPPED + "models.nri.encode_frames and models.nri.decode",
    "models.edge_evidence.read_evidence": "approximate by itself; found edges in test_edge_evidence",
    "models.edge_evidence.propagate_beliefs": "approximate by itself; compared with sums in test_edge_evidence",
    "models.encoders.EvidenceEncoder": "dense layers of models.layers; relabelled in test_edge_evidence",
    "models.listed_posterior.find_combinations": "chooses whole numbers; compared with all in test_listed_posterior",
    "tasks.infer.outputs.infer_frames": MAPPED + "models.nri.encode_frames",
    "tasks.infer.outputs.predict_on_prior": MAPPED + "models.nri.decode_on_prior",
    "simulation.springs.draw_changes": WHOLE,
    "simulation.springs.integrate_changes": "float64 throughout; its forces in test_changing_springs",
    "simulation.springs.simulate_changing_springs": "float64 throughout; as integrate_changes",
    "models.wang2021.DenseParameters": NETWORK,
    "models.pairwise_posterior.initialise_pairs": "five constants, not computed",
    "models.horizons.HorizonDecoder": "part of models.horizons.predict, whose entry has the numbers",
    "models.horizons.initialise": NETWORK,
    "tasks.infer.horizons.infer_windows": MAPPED + "models.horizons.encode",
    "tasks.relate.networks.relate_hidden": MAPPED + "the gradient of models.reconstruction.ReconstructionNetwork",
    "tasks.relate.networks.respond_forecaster": MAPPED + "models.forecast_roll_outs.predict",
    "training.objectives.nri_horizons.horizon_bound": MAPPED + "models.horizons and training.likelihoods",
    "training.objectives.arriving_edges.Pieces": "selects, and computes nothing",
    "training.objectives.roll_outs.RollOuts": MAPPED + "models.nri.decode",
    "training.objectives.system_batches.fold_keys": WHOLE,
    "training.objectives.system_batches.turn_all": MAPPED + "features.symmetries.turn_and_mirror",
    "training.stacked_runs.map_systems": "only maps a function over runs and samples",
    **{
        f"training.objectives.nri_sampled.{name}": "part of evidence_lower_bound, whose entry has the numbers"
        for name in ("Likelihood", "average_all", "draw_edges")
    },
    "training.objectives.nri_sampled.charge_edges": "part of evidence_lower_bound, whose entry has the numbers",
    "training.objectives.nri_pairwise.pairwise_evidence": MAPPED + "models.pairwise_posterior and models.nri.encode",
    "models.nri.start_decoder": MAPPED + "models.decoders.HistoryCode",
    "simulation.two_cycles.label_cycles": "numpy at float64 throughout",
    "simulation.particles.simulate_particles": MAPPED + "simulation.springs and simulation.charged",
    "tasks.decode.windows.decode_runs": MAPPED + "tasks.decode.windows.predict_stretches",
    "simulation.worms.iterate_worms": MAPPED + "simulation.worms.simulate_worms, a worm at a time",
    "training.objectives.exact_inference.infer_changes": MAPPED + "AllCombinations and models.edge_chains",
    "training.objectives.arriving_edges.ChangingCombinations": MAPPED + "models.edge_chains.follow_chains",
    "training.objectives.arriving_edges.ListedCombinations": "equals AllCombinations: see test_nri_exact",
    "training.objectives.nri_sampled.infer_logits": MAPPED + "models.nri.encode and models.nri.encode_frames",
    "training.objectives.nri_sampled.match_frames": WHOLE,
    "models.nri.find_target": "selects, and computes nothing",
    "models.units.whiten_units": "part of models.units.take_out_units, whose entry has the numbers",
    "training.objectives.roll_outs.tile_edges": "selects, and computes nothing",
    "training.objectives.nri_hidden.infer_hidden": MAPPED + "models.exact_posterior, which trajectories climb",
    "models.exact_posterior.weigh_strengths": MAPPED + "models.exact_posterior.weigh_combinations",
    "training.objectives.exact_inference.adapt_edges": MAPPED + "AllCombinations, which climbs a bound",
    "training.objectives.classification.Shard": "sums over devices: see tests/training/test_parallel.py",
    "training.objectives.classification.run_key": WHOLE,
    "training.objectives.classification.initial_key": WHOLE,
    "training.objectives.classification.draw_share": "part of the objectives of classes, states ahead and forecasts",
    "training.objectives.classification.disturb_windows": "part of the objectives of classes and of states ahead",
    "training.objectives.classification.charge_edges": "part of the objectives of classes and of states ahead",
    "training.objectives.forecasting.weigh_neurons": "part of the objective of forecasts",
    "training.objectives.future_states.average_nll": "part of training.objectives.future_states.AheadObjective",
    **{
        f"training.masks.{name}": "selects and averages; values in tests/training/test_masks.py"
        for name in ("as_feature", "average", "find_pairs", "find_pairs_by_frame", "weigh_following")
    },
    "training.likelihoods.remember": "part of evidence_lower_bound and exact_evidence, whose entries have the numbers",
    "training.parallel.build_engine": "places training.step on devices: see tests/training/test_parallel.py",
    "training.step.initialise_state": NETWORK,
    "training.step.is_sound": WHOLE,
    "training.step.make_optimizer": "part of training.step.train_chunk, whose entry has the numbers",
}

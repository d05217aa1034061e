"""Figures, a file per kind, one style for all. Each takes arrays or rows and returns a Figure for `save_figure`."""

# ruff: noqa: F401
import wormjax.figures.backend  # Before anything imports matplotlib.
from wormjax.figures.accuracy import plot_accuracy_by_worms, plot_score_by_amount, plot_score_by_neuron
from wormjax.figures.confusions import plot_confusions
from wormjax.figures.edge_matrices import plot_changing_edges, plot_edge_matrices, plot_followers, plot_graphs_by_state
from wormjax.figures.ethogram import plot_ethogram
from wormjax.figures.forecast_error import plot_forecast_error, plot_roll_out_error
from wormjax.figures.forecast_traces import plot_forecast_traces
from wormjax.figures.graph import plot_graph
from wormjax.figures.graph_comparison import plot_graph_similarity, plot_graph_stability, plot_relations
from wormjax.figures.inferred_graphs import plot_inferred_graphs
from wormjax.figures.manifolds import plot_manifolds, plot_phase_plots, plot_variance
from wormjax.figures.moving_objects import plot_placed_edges, save_moving_picture
from wormjax.figures.neuron_graphs import (
    plot_class_graph,
    plot_graph_agreement,
    plot_graph_curves,
    plot_graph_scores,
    plot_responses,
)
from wormjax.figures.phase_portrait import plot_phase_portrait, plot_phase_transitions, plot_toy_loops
from wormjax.figures.sensitivity import plot_sensitivity
from wormjax.figures.skill_by_horizon import plot_skill_by_horizon
from wormjax.figures.style import save_figure
from wormjax.figures.trajectories import plot_signals, plot_trajectories
from wormjax.figures.transfer import plot_transfer

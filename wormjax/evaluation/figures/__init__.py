"""Figures: one file a figure, one style for all. Each takes arrays or rows, writes a PNG and returns the Figure."""

from wormjax.evaluation.figures.accuracy import plot_accuracy_by_worms
from wormjax.evaluation.figures.confusions import plot_confusions
from wormjax.evaluation.figures.ethogram import plot_ethogram
from wormjax.evaluation.figures.followers import plot_followers
from wormjax.evaluation.figures.forecast_error import plot_forecast_error
from wormjax.evaluation.figures.forecast_traces import plot_forecast_traces
from wormjax.evaluation.figures.graph import plot_graph
from wormjax.evaluation.figures.graph_stability import plot_graph_stability
from wormjax.evaluation.figures.graphs_by_state import plot_graphs_by_state
from wormjax.evaluation.figures.inferred_graphs import plot_inferred_graphs
from wormjax.evaluation.figures.learning_curves import plot_learning_curves
from wormjax.evaluation.figures.roll_out_error import plot_roll_out_error
from wormjax.evaluation.figures.trajectories import plot_signals, plot_trajectories
from wormjax.evaluation.figures.transfer import plot_transfer

__all__ = [
    "plot_accuracy_by_worms",
    "plot_confusions",
    "plot_ethogram",
    "plot_followers",
    "plot_forecast_error",
    "plot_forecast_traces",
    "plot_graph",
    "plot_graph_stability",
    "plot_graphs_by_state",
    "plot_inferred_graphs",
    "plot_learning_curves",
    "plot_roll_out_error",
    "plot_signals",
    "plot_trajectories",
    "plot_transfer",
]

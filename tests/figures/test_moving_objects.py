"""Objects in space: bodies are found and drawn, and what their edges follow is counted."""

import numpy as np
import pytest
from PIL import Image

from wormjax import figures
from wormjax.figures.moving_objects import choose_plane, save_moving_picture
from wormjax.scoring.edge_groups import contrast_edges, find_links, find_phase, measure_phase_share


def make_walk(samples=80):
    """A body of four joints, whose last two swing forwards and backwards, and which walks along z."""
    angle = 0.6 * np.sin(2 * np.pi * np.arange(samples) / 20)
    hip = np.stack([0 * angle, 0 * angle, 0.1 * np.arange(samples)], axis=1)
    knee, foot = (hip + length * np.stack([0 * angle, -np.cos(angle), np.sin(angle)], axis=1) for length in (1, 2))
    return np.stack([hip + np.array([0, 1.5, 0]), hip, knee, foot], axis=1)


def test_bones_are_found_and_the_plane_of_the_movement():
    walk = make_walk()
    assert {tuple(sorted(link)) for link in find_links(walk).tolist()} == {(0, 1), (1, 2), (2, 3)}
    assert choose_plane(walk, ("x", "y", "z")) == [2, 1]
    assert not len(find_links(np.random.default_rng(0).normal(size=(50, 4, 2))))


def test_edges_that_follow_bones_teams_and_phase_are_counted_as_such():
    random = np.random.default_rng(0)
    places = random.normal(size=(60, 6, 2))
    kinds = ["A", "A", "A", "B", "B", "ball"]
    edges = np.where((np.arange(6) == 5)[:, None], 0.9, 0.2) + 0.05 * random.uniform(size=(60, 6, 6))
    edges[:, np.arange(6), np.arange(6)] = np.nan
    table = contrast_edges(edges, places, kinds, np.array([[0, 1]])).set_index("group")
    assert table.loc["ball to A", "auroc"] > 0.7
    assert table.loc["linked", "pairs"] == 120
    assert table.loc["marked", "pairs"] == 5 * 60
    assert table.loc["ball to B", "mean_in"] == pytest.approx(0.925, abs=0.01)
    assert table.loc["A to A", "auroc"] < 0.5
    phase = np.arange(60) / 20 % 1
    assert measure_phase_share(0.5 + 0.1 * np.cos(2 * np.pi * phase)[:, None, None] * places[:1, :, :1], phase) > 0.99
    assert measure_phase_share(edges, phase) < 0.2
    found = find_phase(make_walk())
    assert np.abs(found[:20] - found[20:40]).max() < 1e-6


def test_pictures_are_drawn(tmp_path):
    walk = make_walk()[..., [2, 1]]
    edges = np.random.default_rng(0).uniform(size=(3, 4, 4))
    edges[:, np.arange(4), np.arange(4)] = np.nan
    links = np.array([[0, 1], [1, 2], [2, 3]])
    figure = figures.plot_placed_edges(
        walk[:3], edges, links, (0, 0, 0, 1), ("a", "b", "c"), ("joint", "foot"), shown=4
    )
    assert [len(axes.patches) for axes in figure.axes] == [4, 4, 4] or sum(
        len(axes.patches) for axes in figure.axes
    ) > 3
    figures.save_figure(figure, tmp_path / "relations.png")
    court = figures.plot_placed_edges(walk[:3], edges, links[:0], (0,) * 4, ("a", "b", "c"), box=(94.0, 50.0))
    assert len(court.axes) == 3
    save_moving_picture(tmp_path / "walk.gif", walk[:12], {"nri": walk[8:12] + 0.1}, links, 0.1)
    with Image.open(tmp_path / "walk.gif") as picture:
        assert picture.n_frames == 8

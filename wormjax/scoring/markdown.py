"""Pieces of a summary: lines of Markdown tables, columns of a console, and the file they are written to."""

import os
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

import pandas as pd

from wormjax.atomic_write import open_place
from wormjax.scoring.intervals import Interval


def write_markdown(path: str | os.PathLike, lines: Iterable[str], data_text: str = "") -> None:
    """Write lines as a Markdown file, whole or not at all; the data that made the rows stand last."""
    lines = [*lines]
    if data_text:
        lines += ["", "## Data", "", "```", data_text.rstrip(), "```"]
    with open_place(path) as beside:
        beside.write_text("\n".join(lines) + "\n", encoding="utf-8")


def start_table(titles: Sequence[str]) -> list[str]:
    """Return the two lines that open a table."""
    return [join_cells(titles), join_cells(["---"] * len(titles))]


def join_cells(cells: Iterable[str]) -> str:
    """Return one line of a table."""
    return "| " + " | ".join(cells) + " |"


def tabulate(corner: str, titles: Mapping[Hashable, str], cells: Mapping[tuple[str, Hashable], str]) -> list[str]:
    """Return a table of the texts of (row, column): columns by their titles, rows as they first occur."""
    names = unique(name for name, _ in cells)
    lines = [join_cells([name, *(cells.get((name, column), "") for column in titles)]) for name in names]
    return [*start_table([corner, *titles.values()]), *lines]


def tabulate_console(corner, titles: Mapping[Hashable, str], cells, widths: tuple[int, int]) -> list[str]:
    """Return `tabulate` for a console: a column of names and columns of texts, of these two widths."""
    lines = [corner.ljust(widths[0]) + "".join(title.rjust(widths[1]) for title in titles.values())]
    for name in unique(name for name, _ in cells):
        texts = (cells.get((name, column), "").rjust(widths[1]) for column in titles)
        fitting = name if len(name) < widths[0] else name[: widths[0] - 2] + "…"
        lines.append(fitting.ljust(widths[0]) + "".join(texts))
    return lines


def format_spread(mean: float, sd: float | None, number: Callable[[float], str] = "{:.3f}".format) -> str:
    """Return "mean ± s.d.", or the mean alone where there is no s.d."""
    return number(mean) + ("" if pd.isna(sd) else f" ± {number(sd)}")


def format_bounds(low: float | None, high: float | None, number: Callable[[float], str] = "{:.3f}".format) -> str:
    """Return " [low, high]"; empty where there is no interval."""
    return "" if pd.isna(low) else f" [{number(low)}, {number(high)}]"


def format_mean(interval: Interval) -> str:
    """Return "mean [low, high]"."""
    return f"{interval.mean:.3f}{format_bounds(interval.low, interval.high)}"


def escape(name: str) -> str:
    """Return a name that Markdown shows as it is."""
    return name.replace("|", "\\|").replace("*", "\\*").replace("_", "\\_")


def mark_model(model: str, baseline: bool) -> str:
    """Return a model's name for a table, in italics for a baseline."""
    return f"*{escape(model)}*" if baseline else escape(model)


def unique(items: Iterable) -> list:
    """Return items without repetitions, in the order in which they first occur."""
    return list(dict.fromkeys(items))

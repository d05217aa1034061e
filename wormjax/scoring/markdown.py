"""Pieces of a summary: tables of texts as Markdown and for a console, and the file they are written to."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence

import pandas as pd

from wormjax.atomic_write import open_place
from wormjax.scoring.intervals import Interval

CONSOLE_WIDTH, NAME_WIDTH = 100, 60


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


def to_markdown(frame: pd.DataFrame, corner: str = "model") -> list[str]:
    """Return the lines of a table of texts, its rows named by the index; none where it has no rows."""
    lines = [join_cells(map(str, line)) for line in frame.itertuples(name=None)]
    return [*start_table([corner, *frame.columns]), *lines] if lines else []


def make_block(title: str, frame: pd.DataFrame) -> list[str]:
    """Return a title (if there is one) and a table of texts for a console; nothing where it has no rows.

    Columns that are too many for its width stand below the others.
    """
    if frame.empty:
        return []
    names = [name if len(name) < NAME_WIDTH else f"{name[: NAME_WIDTH - 2]}…" for name in frame.index]
    lines = frame.set_axis(names, axis=0).to_string(line_width=CONSOLE_WIDTH).splitlines()
    return [*(["", title[:CONSOLE_WIDTH]] if title else []), *(line.rstrip(" \\") for line in lines)]


def write_frame(frame: pd.DataFrame, columns: Mapping[str, tuple[str, ...]], names: Iterable[str]) -> pd.DataFrame:
    """Return the texts of computed numbers, their lines by name; "–" for NaN, and no column that the frame has not.

    `columns`: title → format, column, and where it has an interval the columns of the two ends.
    """
    texts = {}
    for title, (text, *read) in columns.items():
        if read[0] in frame:
            lines = frame[read].itertuples(index=False, name=None)
            texts[title] = [
                "–" if pd.isna(x) else text.format(x) + format_bounds(*ends, number=text.format) for x, *ends in lines
            ]
    return pd.DataFrame(texts, [*names])


def make_section(title: str, frame: pd.DataFrame, level: int = 3, note: str = "", corner: str = "model") -> list[str]:
    """Return a heading (but for an empty title), a note and a table of texts; nothing where it has no rows."""
    heading = ["", f"{'#' * level} {title}"] if title else []
    return [*heading, *(["", note] if note else []), "", *to_markdown(frame, corner)] if len(frame) else []


def format_bounds(
    low: float | None = None, high: float | None = None, number: Callable[[float], str] = "{:.3f}".format
) -> str:
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


def count_noun(number: int, noun: str) -> str:
    """Return "1 worm", "2 worms"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def unique(items: Iterable) -> list:
    """Return items without repetitions, in the order in which they first occur."""
    return list(dict.fromkeys(items))

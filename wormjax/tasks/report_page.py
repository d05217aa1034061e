"""The page of a report: one self-contained file of HTML that a browser opens from the disk.

It shows what a work directory holds: the tables of summary.md, the figures, the config; and how they came about: the
command, the fields it changed, versions, and what was said of the data. The template is report_page.html.
"""

import base64
import contextlib
import html
import importlib.metadata
import platform
import shlex
import string
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import markdown

from wormjax.atomic_write import open_place
from wormjax.errors import RecordingWarning
from wormjax.figures.names import NAMES, spell_name

PAGE = "report.html"
PACKAGES = ("wormjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
TEMPLATE = Path(__file__).with_name("report_page.html")
AGAIN = "Score the trained models again, or on other data"
GO_ON = (  # What one can do, how, and the file of the folder that it needs.
    (AGAIN, "wormjax evaluate --workdir={folder}", "config.json"),
    ("The inferred graph of each test system", "{folder}/edges.csv", "edges.csv"),
    ("Every number, one row each", "{folder}/results.csv", "results.csv"),
    ("The complete config", "{folder}/config.json", "config.json"),
    ("Every score", "{folder}/scores.csv", "scores.csv"),
    ("All predictions as arrays, a group per worm", "{folder}/predictions.h5", "predictions.h5"),
    ("States, forecasts and edges of each worm as CSV tables", "{folder}/WORM/", "predictions.h5"),
)


@contextlib.contextmanager
def collect_notes() -> Iterator[list[str]]:
    """Yield a list that receives each note on the data of the block once; it is still printed, too."""
    notes: list[str] = []
    show = warnings.showwarning

    def note(message, category, *place, **others) -> None:
        if issubclass(category, RecordingWarning):
            if str(message) in notes:
                return
            notes.append(str(message))
        show(message, category, *place, **others)

    with warnings.catch_warnings():  # Which restores showwarning, too.
        warnings.simplefilter("always", RecordingWarning)
        warnings.showwarning = note
        yield notes


def write_page(folder: Path, notes: Sequence[str] = (), argv: Sequence[str] | None = None, again: bool = True) -> Path:
    """Write report.html into a folder that holds a report (summary.md, figures), and return its path.

    `notes` are what was said of the data; `again`, whether `wormjax evaluate` can score the folder.
    """
    command = describe_command(sys.argv if argv is None else argv)
    words = [word.lstrip("-") for word in shlex.split(command)]
    changed = [word.removeprefix("config.") for word in words if word.startswith("config.")]
    configs = {"toc": {"marker": ""}}
    converter = markdown.Markdown(extensions=["tables", "toc", "fenced_code"], extension_configs=configs)
    body = converter.convert((folder / "summary.md").read_text(encoding="utf-8"))
    paths = [path for path in folder.glob("**/*") if path.suffix in (".png", ".gif") and "models" not in path.parts]
    pictures = sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path.name))  # As they were drawn.
    versions = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    devices = f"{len(jax.devices())} x {jax.devices()[0].device_kind}"
    named = command.split()  # For a title: wormjax infer, or wormjax.
    program = f"wormjax {named[2].removeprefix('experiments.')}" if named[:1] == ["python"] else " ".join(named[:2])
    heads = [token for one in converter.toc_tokens for token in one["children"]]
    parts = {
        "title": html.escape(f"{program or 'wormjax'}: {folder.resolve().name}"),
        "command": html.escape(command or "called from Python"),
        "changed": _list(changed) if changed else "<p>None.</p>",
        "contents": "\n".join(f'<a href="#{token["id"]}">{token["name"]}</a>' for token in heads),
        "summary": body.replace("<table>", '<div class="table"><table>').replace("</table>", "</table></div>"),
        "figures": "\n".join(_show_figure(path, folder) for path in pictures),
        "notes": _list(notes) if notes else "<p>None.</p>",
        "versions": html.escape(", ".join([f"Python {platform.python_version()}", *versions, devices])),
        "go_on": _list(
            f"{about}: {text.format(folder=shlex.quote(str(folder)))}"
            for about, text, needed in GO_ON
            if (folder / needed).is_file() and (again or about != AGAIN)
        ),
    }
    page = string.Template(TEMPLATE.read_text(encoding="utf-8")).substitute(parts)
    with open_place(folder / PAGE) as beside:
        beside.write_text(page, encoding="utf-8")
    return folder / PAGE


def describe_command(argv: Sequence[str]) -> str:
    """Return the command line that was typed; "" where the program is not one of wormjax.

    >>> describe_command(["/somewhere/experiments/infer.py", "--config=configs/nri_springs.py:small"])
    'python -m experiments.infer --config=configs/nri_springs.py:small'
    """
    program = Path(argv[0]) if argv else Path()
    if program.parent.name == "experiments":
        return shlex.join(["python", "-m", f"experiments.{program.stem}", *argv[1:]])
    return shlex.join(["wormjax", *argv[1:]]) if program.stem == "wormjax" else ""


def _list(items) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in items) + "</ul>"


def _caption_figure(stem: str) -> str:
    """Return a figure's name in words, the model in it spelled out: "Ethogram: Graph network (NRI)"."""
    parts = stem.split("_")
    for place in range(1, len(parts)):
        if model := NAMES.get("_".join(parts[place:])):
            return f"{spell_name('_'.join(parts[:place]))}: {model}"
    return spell_name(stem)


def _show_figure(path: Path, folder: Path) -> str:
    words = _caption_figure(path.stem)
    place = path.parent.parent if path.parent.name == "figures" else path.parent
    if place != folder:
        words += f": {place.name}"
    data = base64.b64encode(path.read_bytes()).decode()
    source = f"data:image/{path.suffix[1:]};base64,{data}"
    caption = html.escape(words)
    return f'<figure><img src="{source}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'

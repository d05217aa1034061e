"""The page of a report: it holds all it shows, in a browser too; what is said of the data is kept and still said."""

import json
import re
import shutil
import subprocess
import warnings

import matplotlib.pyplot as plt
import pytest

from wormjax.errors import RecordingWarning
from wormjax.scoring.rows import Row
from wormjax.scoring.tables import write_summary
from wormjax.tasks.report_page import collect_notes, describe_command, write_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGV = ["/a/experiments/generalize.py", "--config=configs/generalize.py", "--config.seeds=2", "--workdir=<b>"]
VALUES = {"mlp": 0.5, "nri_graph": 0.75, "lda": 0.625}
# What a browser makes of the page, as JSON in its title.
PROBE = (
    """<script>window.problems = []; window.addEventListener("error", e => problems.push(e.message), true);</script>"""
)
LOOK = """<script>window.addEventListener("load", () => {
  const names = () => [...document.querySelector("table").tBodies[0].rows].map(row => row.cells[0].textContent);
  const click = column => { document.querySelectorAll("table th button")[column].click(); return names(); };
  const page = document.documentElement;
  document.title = "FOUND" + JSON.stringify({ problems, up: click(1), down: click(1), named: click(0),
    pictures: [...document.images].every(image => image.naturalWidth > 0), count: document.images.length,
    fits: page.scrollWidth <= page.clientWidth,
    edges: getComputedStyle(document.querySelector(".table")).backgroundAttachment }) + "END"; });</script>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    rows = [
        Row(model, "s", ("a", "b"), "s", worm, 0, metric, value)
        for model, value in VALUES.items()
        for worm in ("c", "d")
        for metric in ("accuracy", "nll")
    ]
    write_summary(folder / "summary.md", rows, ("lda",), "2 worms of s:\n  c: 30 frames\n  d: 30 frames")
    (folder / "figures").mkdir()
    for name in ("ethogram_mlp", "confusions"):
        figure = plt.figure(figsize=(9, 2))
        figure.savefig(folder / "figures" / f"{name}.png")
        plt.close(figure)
    return write_page(folder, ["worm 'c': <3 pauses>"], ARGV)


def test_only_what_can_be_scored_again_is_offered_to_be(tmp_path):
    (tmp_path / "summary.md").write_text("# Results")
    (tmp_path / "config.json").write_text("{}")
    for again in (True, False):
        assert ("wormjax evaluate" in write_page(tmp_path, (), ARGV, again).read_text()) == again


def test_it_holds_tables_figures_command_fields_and_notes(page):
    text = page.read_text()
    assert "python -m experiments.generalize --config=configs/generalize.py" in text
    assert "<li>seeds=2</li>" in text
    assert "worm &#x27;c&#x27;: &lt;3 pauses&gt;" in text
    assert "<b>" not in text
    assert text.count("data:image/png;base64,") == 2
    assert text.index("Ethogram: Multilayer perceptron") < text.index("Confusions")
    assert not re.search(r"(src|href)=.(?!data:|#)", text)  # Nothing from elsewhere.
    assert "Negative log-likelihood" in text.split("In results.csv, too:")[1][:100]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page with")
@pytest.mark.parametrize("width", [1200, 500])
def test_a_browser_shows_it_and_sorts_its_tables(page, tmp_path, width):
    tried = tmp_path / "tried.html"
    tried.write_text(page.read_text().replace("<head>", f"<head>{PROBE}").replace("</body>", f"{LOOK}</body>"))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", "--dump-dom", tried.as_uri()]
    dom = subprocess.run([CHROMIUM, *flags], capture_output=True, text=True, timeout=60, check=True).stdout
    found = json.loads(dom.split("FOUND")[1].split("END")[0].replace("&amp;", "&"))
    assert found["problems"] == []
    assert found["up"] == ["mlp", "lda", "nri_graph"]
    assert found["down"] == ["nri_graph", "lda", "mlp"]
    assert found["named"] == ["lda", "mlp", "nri_graph"]
    assert found["pictures"]
    assert found["count"] == 2
    assert found["fits"]
    assert found["edges"] == "local, local, scroll, scroll"  # Shades that stay, and covers that move with the table.


def test_what_is_said_of_data_is_kept_and_still_said():
    with pytest.warns(RecordingWarning, match="a gap"), collect_notes() as notes:
        warnings.warn("a gap of 2 s", RecordingWarning, stacklevel=1)
    assert notes == ["a gap of 2 s"]


def test_a_program_of_others_is_no_command():
    assert describe_command(["/a/wormjax", "predict", "--data=a b.csv"]) == "wormjax predict '--data=a b.csv'"
    assert describe_command(["/a/ipykernel_launcher.py"]) == ""

"""Figures as files: of a size that can be read, not blank, with labels in plain words."""

import re

from matplotlib.image import imread
from matplotlib.text import Text

from wormjax.figures.style import save_figure


def assert_readable(figure, folder):
    """Save a figure into an empty folder: a PNG of 200 dots per inch, two to 16 inches wide, and all there is."""
    path = folder / "figure.png"
    save_figure(figure, path)
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    pixels = imread(path)[..., :3]
    assert 400 <= pixels.shape[1] <= 3200
    assert 300 <= pixels.shape[0] <= 2400
    assert pixels.std() > 0.01
    assert list(folder.iterdir()) == [path]
    assert_plain(figure)


def assert_plain(figure):
    """Check that no text of a figure has an underscore, or a number without its leading zero."""
    figure.draw_without_rendering()  # Ticks are labelled.
    texts = [text.get_text() for text in figure.findobj(Text) if text.get_visible()]
    assert texts
    assert not [text for text in texts if "_" in text or re.search(r"(?<!\d)\.\d", text)]

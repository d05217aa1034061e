"""A hook of mkdocs: links to files outside docs/, such as tests, become code. In the repository they work."""

import re

OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+((?:tests|wormjax|experiments|configs|third_party)/[^)]+)\)")


def on_page_markdown(markdown, **_):
    """Return the text of a page without links that the site cannot follow."""
    return OUTSIDE.sub(r"`\2`", markdown)

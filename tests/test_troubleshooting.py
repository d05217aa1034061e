"""The messages that the documentation explains are those that the code has."""

import ast
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[1]


def read_strings() -> str:
    """Return all text of the package's strings; what an f-string inserts is "..."."""
    found = []
    for path in (ROOT / "wormjax").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                found.append("".join(v.value if isinstance(v, ast.Constant) else "..." for v in node.values))
    return "\n".join(found)


def test_every_message_is_one_of_the_code():
    text, strings = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8"), read_strings()
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    pieces = [piece.strip() for cell in cells for code in re.findall(r"`([^`]+)`", cell) for piece in code.split("...")]
    assert len(cells) > 30
    assert [piece for piece in pieces if piece and piece not in strings] == []

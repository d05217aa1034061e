"""The messages that the documentation explains are those of the code, and it explains all that a user can meet."""

import ast
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[1]
ERRORS = ("InputError", "RecordingError", "ConfigError", "FieldError", "TrainingError")


def read_text(node: ast.AST | None) -> str:
    """Return the text of an expression; what is not written out is "...", the first of two ways is taken."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(read_text, node.values))
    if isinstance(node, ast.FormattedValue):
        return "'...'" if node.conversion == ord("r") else "..."
    if isinstance(node, ast.BinOp):
        return read_text(node.left) + read_text(node.right)
    return "..."


def read_message(call: ast.Call) -> str:
    """Return the message of an error as a program prints it."""
    *place, problem = map(read_text, call.args)
    if ast.unparse(call.func) == "ConfigError":
        return f"config field '{place[0]}': {problem}"
    return f"...: field '{place[-1]}': {problem}" if place else problem


def read_messages() -> tuple[dict[str, str], str]:
    """Return where each error is raised with its message, and all text of the package's strings."""
    messages, strings = {}, []
    for path in sorted((ROOT / "wormjax").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant | ast.JoinedStr):
                strings.append(read_text(node))
            call = node.exc if isinstance(node, ast.Raise) else None
            if isinstance(call, ast.Call) and ast.unparse(call.func) in ERRORS:
                messages[f"{path.relative_to(ROOT)}:{node.lineno}"] = read_message(call)
    return messages, "\n".join(strings)


MESSAGES, STRINGS = read_messages()
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
CELLS = [line.split(" | ")[0] for line in PAGE.splitlines() if line.startswith("| `")]
QUOTED = [code for cell in CELLS for code in re.findall(r"`([^`]+)`", cell)]


def is_of(quoted: str, message: str) -> bool:
    """Return whether a quoted message, with "..." for names and numbers, is part of a message."""
    return re.search(".*".join(map(re.escape, quoted.split("..."))), message) is not None


def test_every_quoted_message_is_one_of_the_code():
    assert len(QUOTED) > 100
    assert [code for code in QUOTED if len(re.sub(r"[^a-z]", "", code)) < 5] == []  # Of all messages, it explains none.
    unknown = [code for code in QUOTED if not any(is_of(code, message) for message in MESSAGES.values())]
    pieces = [piece.strip() for code in unknown for piece in code.split("...")]
    assert [piece for piece in pieces if piece and piece not in STRINGS] == []


def test_every_error_is_explained():
    assert len(MESSAGES) > 350
    lacking = {place: text for place, text in MESSAGES.items() if not any(is_of(code, text) for code in QUOTED)}
    # What is said by variables alone cannot be looked for.
    assert {place: text for place, text in lacking.items() if re.sub(r"found|expected( one of)?|\W", "", text)} == {}

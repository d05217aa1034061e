"""Names of neurons: one spelling per neuron, whatever the source.

Connectome packages write the motor neurons of the ventral cord DB1, VB1, VA1; recordings write DB01, VB01, VA01. The
form of the recordings is used here (White et al. 1986 number them 1 to 13).
"""

import re

_VENTRAL_CORD = re.compile(r"(AS|D[ABD]|V[ABCD])(\d{1,3})")
_PLACEHOLDERS = {"unknown", "unknowncell", "unidentified", "none", "nan", "na", "n/a", "null"}


def normalise_neuron_name(name: str) -> str:
    """Return the name as recordings write it: `VB1` → `VB01`; other names only lose spaces at their ends.

    >>> [normalise_neuron_name(name) for name in ("VB1", "DA11", "IL1L", " AVAL ")]
    ['VB01', 'DA11', 'IL1L', 'AVAL']
    """
    name = name.strip()
    match = _VENTRAL_CORD.fullmatch(name)
    return f"{match[1]}{int(match[2]):02d}" if match else name


def is_neuron_name(name: str) -> bool:
    """Return whether the text names a neuron: `---`, `?`, a number or `Unknown Cell` do not."""
    name = name.strip()
    has_letter = any(character.isalpha() for character in name)
    return has_letter and not re.search(r"\s", name) and name.lower() not in _PLACEHOLDERS


def sort_candidates(names: list[str]) -> tuple[str | None, tuple[str, ...]]:
    """Return the name that identifies a neuron (or None), and the candidates where it is doubtful.

    Exactly one name without a question mark identifies a neuron; several names, or a doubtful one, are candidates.

    Args:
      names: the neuron's names in the file.
    """
    entries = [name.strip() for name in names if name.strip()]
    named = [normalise_neuron_name(name.replace("?", "")) for name in entries if is_neuron_name(name)]
    if len(entries) == 1 and named and "?" not in entries[0]:
        return named[0], ()
    return None, tuple(dict.fromkeys(named))

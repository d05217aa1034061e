"""Names of neurons: one spelling for the same neuron, whatever the source.

Connectome packages write the motor neurons of the ventral cord DB1, VB1, VA1; recordings write DB01, VB01, VA01. The
form of the recordings is used here (White et al. 1986 number them 1 to 13).
"""

import re

_VENTRAL_CORD = re.compile(r"(AS|D[ABD]|V[ABCD])(\d{1,3})")
_PLACEHOLDERS = {"unknown", "unknowncell", "unidentified", "none", "nan", "na", "n/a", "null"}


def normalise_neuron_name(name: str) -> str:
    """The name as recordings write it: `VB1` → `VB01`; all other names are only stripped of spaces.

    >>> [normalise_neuron_name(name) for name in ("VB1", "DA11", "IL1L", " AVAL ")]
    ['VB01', 'DA11', 'IL1L', 'AVAL']
    """
    name = name.strip()
    match = _VENTRAL_CORD.fullmatch(name)
    return f"{match[1]}{int(match[2]):02d}" if match else name


def is_neuron_name(name: str) -> bool:
    """Whether the text names a neuron at all: not `---`, `?`, an index number, `Unknown Cell`."""
    name = name.strip()
    has_letter = any(character.isalpha() for character in name)
    return has_letter and not re.search(r"\s", name) and name.lower() not in _PLACEHOLDERS


def sort_candidates(names: list[str]) -> tuple[str | None, tuple[str, ...]]:
    """One neuron's names in the file → (the name that identifies it or None, the candidates where it is doubtful).

    A neuron is uniquely identified by exactly one name without a question mark; several names, or a doubtful one, are
    candidates.
    """
    entries = [name.strip() for name in names if name.strip()]
    named = [normalise_neuron_name(name.replace("?", "")) for name in entries if is_neuron_name(name)]
    if len(entries) == 1 and named and "?" not in entries[0]:
        return named[0], ()
    return None, tuple(dict.fromkeys(named))

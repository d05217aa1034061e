"""What must be settled before Python starts: memory in large pages.

XLA asks for the memory of a program's intermediate values anew in each call, and Linux hands it out in pages of 4 kB,
each cleared when it is first touched. Where an update takes a gigabyte, a fifth of its time goes there, and next to
none in pages of 2 MB. glibc takes those if it is told so when the process begins.
"""

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

SETTING = "glibc.malloc.hugetlb"
_CHOICES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def use_large_pages() -> None:
    """Starts this program once more, as the same process, with memory in pages of 2 MB; or does nothing.

    It does nothing where Linux does not leave the choice to programs ("madvise"), or where GLIBC_TUNABLES names the
    setting already: `GLIBC_TUNABLES=glibc.malloc.hugetlb=0` keeps small pages. To be called before anything large is
    imported and any thread is started.
    """
    environment = add_setting(os.environ, _CHOICES.read_text() if _CHOICES.is_file() else "")
    if environment is None or not sys.executable:
        return
    with contextlib.suppress(OSError):  # Small pages do as well, only slower.
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def add_setting(environment: Mapping[str, str], choices: str) -> dict[str, str] | None:
    """The environment of a process with large pages; None where there is nothing to gain or someone has decided.

    Args:
      environment: of this process.
      choices: what Linux says of large pages, the present choice in brackets: "always [madvise] never".
    """
    tunables = environment.get("GLIBC_TUNABLES", "")
    if "[madvise]" not in choices or SETTING in tunables:
        return None
    return {**environment, "GLIBC_TUNABLES": ":".join(filter(None, (tunables, f"{SETTING}=1")))}

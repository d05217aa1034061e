"""The most memory that this process has held."""

import sys

try:
    import resource
except ImportError:  # Windows has no such module.
    resource = None


def measure_peak() -> float:
    """Return bytes; nan where the system does not count them."""
    if resource is None:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else 1024 * peak)  # Linux counts in kilobytes.

"""Which names no session may give to a variable."""

from ._reserved_names import RESERVED_NAMES

# Rows of patterns and their exceptions.
_RESERVED = tuple(
    tuple(part.split() for part in line.partition(" except ")[::2])
    for line in RESERVED_NAMES.replace("\n    ", " ").split("\n")
)


def is_reserved(name: str) -> bool:
    """Whether programs find, configure or run code by this variable, or send data where it says."""
    upper = name.upper()
    return any(
        any(_matches(pattern, upper) for pattern in patterns)
        and not any(_matches(exception, upper) for exception in exceptions)
        for patterns, exceptions in _RESERVED
    )


def _matches(pattern: str, name: str) -> bool:
    prefix, star, suffix = pattern.partition("*")
    if not star:
        return name == pattern
    return len(name) >= len(prefix) + len(suffix) and name.startswith(prefix) and name.endswith(suffix)

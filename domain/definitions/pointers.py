"""JSON pointers (RFC 6901): how every part of a definition is named, in problems and in occurrences."""


def escape(name: str) -> str:
    """A name as one token of a pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def join(pointer: str, *parts: str | int) -> str:
    """A pointer some levels deeper."""
    return pointer + "".join(f"/{part}" if isinstance(part, int) else "/" + escape(part) for part in parts)

"""Conditional requests (RFC 9110 13, D-26)."""


def is_current(if_none_match: str | None, etag: str) -> bool:
    """Whether the client has the representation with this strong entity tag already.

    Takes lists, `*` and weak tags, and an unquoted value as old clients of the service send it.
    """
    if not if_none_match or not if_none_match.strip():
        return False
    tags = [tag.strip() for tag in if_none_match.split(",")]
    if "*" in tags:
        return True
    opaque = etag.strip('"')
    return any(tag.removeprefix("W/").strip('"') == opaque for tag in tags)

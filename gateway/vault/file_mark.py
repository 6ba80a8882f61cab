"""What tells one state of a file from another. Pure."""

import os

Mark = tuple[int, ...]


def mark_of(status: os.stat_result) -> Mark:
    """Times tell rewrites, the inode tells swaps."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )

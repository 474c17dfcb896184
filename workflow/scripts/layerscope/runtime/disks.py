"""Disks that are full, read-only or gone: recognised whatever library says so."""

from __future__ import annotations

import errno
import os

#: Why a disk does not take what a program writes.
_REFUSALS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS),
    *(errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE),
)
#: What libraries below say in errors of their own: safetensors and tokenizers as the system does,
#: torch (2.11) without a reason, and Python where no temporary folder can be written.
_TEXTS = (
    *(os.strerror(number) for number in _REFUSALS if number not in (errno.EPERM, errno.EIO)),
    *("PytorchStreamWriter failed", "No usable temporary directory"),
)


def refusal(error: BaseException) -> str | None:
    """What a disk that does not take a file says, in one line; None for any other error."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno in _REFUSALS and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, OSError) and error.errno in _REFUSALS:
        return text
    return text if any(known in text for known in _TEXTS) else None

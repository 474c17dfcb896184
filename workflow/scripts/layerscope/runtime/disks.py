"""Disks that are full, read-only or gone: recognised whatever library says so."""

from __future__ import annotations

import errno
import re

#: Why a disk does not take what a program writes.
_REFUSALS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS),
    *(errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE),
)
#: What libraries say in errors of their own, by the name of the error's class: safetensors and
#: tokenizers as the system does, torch (2.11) without a reason, and Python where no temporary
#: folder can be written.
_SYSTEM = re.compile(rf"\(os error ({'|'.join(map(str, _REFUSALS))})\)")
_TEXTS = {
    "SafetensorError": _SYSTEM,
    "Exception": _SYSTEM,
    "RuntimeError": re.compile("PytorchStreamWriter failed"),
    "FileNotFoundError": re.compile("No usable temporary directory"),
}


def refusal(error: BaseException) -> str | None:
    """What a disk that does not take a file says, in one line; None for any other error."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno in _REFUSALS and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, OSError) and error.errno in _REFUSALS:
        return text
    known = _TEXTS.get(type(error).__name__)
    return text if known and known.search(text) else None

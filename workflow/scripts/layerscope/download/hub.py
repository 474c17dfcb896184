"""Files of a repository on a hub, at a commit: looked up, downloaded and checked.

huggingface_hub (2.4) downloads to a temporary file with a new name each time and removes it when it
is interrupted, so a file's transfer is made here: into a place of its own that survives a kill,
asking for what is missing. The token comes from HF_TOKEN alone and is neither stored nor shown.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import httpx2
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    build_hf_headers,
    get_session,
    hf_raise_for_status,
    parse_ratelimit_headers,
)

from layerscope.core.errors import UserError
from layerscope.core.files import sha256_file
from layerscope.core.wording import few
from layerscope.download.address import PUBLIC, endpoint, shown_endpoint, variables_set

TRIES = 6
SILENCE = 30.0  # seconds without a byte after which a connection is given up
LONGEST_WAIT = 600.0  # seconds that a hub may ask to wait; its limits count windows of 300
PASSING = {408, 425, 429, 500, 502, 503, 504}  # answers that may be others a little later

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
# It logs each address, and that of a file at a content delivery network is signed.
logging.getLogger("httpx2").setLevel(logging.WARNING)


@dataclass(frozen=True)
class RemoteFile:
    """What a hub says of a file; None for what it does not say."""

    size: int | None  # bytes
    sha256: str | None  # of files in large file storage
    blob: str | None  # git's id of other files


@dataclass(frozen=True)
class Repository:
    """A repository at a commit, and its files by path."""

    kind: Literal["model", "dataset"]
    name: str
    revision: str
    license: str
    files: Mapping[str, RemoteFile]

    def __str__(self) -> str:
        return _place(self.kind, self.name, self.revision)

    def origin(self) -> dict[str, str]:
        """Where its files come from, for the record; without credentials."""
        described = {
            "repository": self.name,
            "revision": self.revision,
            "license": self.license,
        }
        address = shown_endpoint()
        return described if address == PUBLIC else {**described, "endpoint": address}


def look_up(kind: Literal["model", "dataset"], name: str, revision: str) -> Repository:
    """Ask the hub (HF_ENDPOINT, or the public one) for a repository's files at a full commit.

    Raises:
        UserError: there is no such repository or commit, no access, or no answer.
    """
    _require_client()
    api = HfApi(endpoint=endpoint(), token=_token())
    ask = api.model_info if kind == "model" else api.dataset_info
    place = _place(kind, name, revision)
    try:
        info = with_retries(
            lambda: ask(name, revision=revision, files_metadata=True, timeout=SILENCE), place
        )
        found = {
            entry.rfilename: RemoteFile(
                entry.size,
                entry.lfs.sha256 if entry.lfs else None,
                None if entry.lfs else entry.blob_id,
            )
            for entry in info.siblings or []
        }
    except (httpx2.HTTPError, OfflineModeIsEnabled) as error:
        raise _refusal(error, kind, name, place) from None
    except (ValueError, KeyError, TypeError, httpx2.InvalidURL):
        raise UserError(
            f"{place}: {shown_endpoint()} does not answer as a model hub does; "
            "allowed: HF_ENDPOINT unset, or the address of a hub"
        ) from None
    if info.sha != revision:
        raise UserError(f"{place}: the hub answers with commit {info.sha}; allowed: a full commit")
    stated = getattr(info.card_data, "license", None) or "not stated"
    licenses = stated if isinstance(stated, list) else [stated]
    return Repository(kind, name, revision, ", ".join(map(str, licenses)), found)


def download(
    repository: Repository, names: Sequence[str], wanted: Mapping[str, str], folder: Path
) -> dict[str, str]:
    """Download files to `folder`, under their paths in the repository.

    What is in `folder` already from an earlier, interrupted call with the same repository and
    commit is not downloaded again.

    Args:
        repository: as `look_up` gave it.
        names: paths of files in it.
        wanted: path to the SHA-256 that a file must have; some or none of `names`.
        folder: of this repository and commit alone.

    Returns:
        Path to SHA-256, in the order of `names`.

    Raises:
        UserError: a file is not there, cannot be had, or is not what was wanted or announced.
    """
    for name in wanted:
        if name not in names:
            raise UserError(
                f"{repository}: 'sha256' names '{name}', which is not needed; "
                f"allowed: {', '.join(names)}"
            )
    for name in names:
        if not is_below(name):
            raise UserError(f"{repository}: file '{name}'; allowed: a path below the repository")
        if name not in repository.files:
            raise UserError(
                f"{repository}: no file '{name}'; allowed: {few(sorted(repository.files), 10)}"
            )
        announced = repository.files[name].sha256
        if announced is not None:  # known before anything is downloaded
            _check_wanted(repository, name, announced, wanted)
    return {name: _fetch(repository, name, wanted, folder) for name in names}


def is_below(name: str) -> bool:
    """Whether a path, such as a hub states, leads to a file below a folder and nowhere else."""
    parts = name.split("/")
    return not {"", ".", ".."} & set(parts) and "\\" not in name and "\0" not in name


@contextmanager
def download_folder(out: Path, repository: Repository) -> Iterator[Path]:
    """A folder beside `out` to download to: kept when the block fails, removed when it succeeds."""
    root = out.with_name(f".{out.name}.download")
    folder = root / f"{repository.name.replace('/', '--')}--{repository.revision}"
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    shutil.rmtree(root)


def _fetch(repository: Repository, name: str, wanted: Mapping[str, str], folder: Path) -> str:
    path, remote = folder / name, repository.files[name]
    if not path.exists():
        place = f"{repository}, file '{name}'"
        part = path.with_name(f"{path.name}.part")
        url = hf_hub_url(
            repository.name,
            name,
            repo_type=repository.kind,
            revision=repository.revision,
            endpoint=endpoint(),
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with_retries(lambda: _transfer(url, part, remote.size), place)
            part.replace(path)
        except (httpx2.HTTPError, OfflineModeIsEnabled) as error:
            raise _refusal(error, repository.kind, repository.name, place) from None
        except OSError as error:
            raise UserError(f"{part}: cannot be written ({error.strerror})") from None
    digest = sha256_file(path)
    for algorithm, announced, found in (
        ("sha256", remote.sha256, digest),
        ("git id", remote.blob, remote.blob and _git_blob(path)),
    ):
        if announced != (found if announced is not None else None):
            path.unlink()
            raise UserError(
                f"{repository}, file '{name}': arrived with {algorithm} {found}, wanted "
                f"{announced}, which the hub announces; rerun to download it again"
            )
    try:
        _check_wanted(repository, name, digest, wanted)
    except UserError:
        path.unlink()
        raise
    return digest


def _check_wanted(
    repository: Repository, name: str, digest: str, wanted: Mapping[str, str]
) -> None:
    if wanted.get(name, digest) != digest:
        raise UserError(
            f"{repository}, file '{name}': found sha256 {digest}, wanted {wanted[name]}; "
            "allowed: the file with the configured digest, or its own digest in the configuration"
        )


def _transfer(url: str, part: Path, size: int | None) -> None:
    """Download what `part` lacks of a file.

    Raises:
        httpx2.HTTPError: it did not arrive, or not whole; what arrived is in `part`.
    """
    start = part.stat().st_size if part.exists() else 0
    if start == size:
        part.touch()  # an empty file
        return
    # Any compression would be undone on the way, and positions would be off.
    headers = {**build_hf_headers(token=_token()), "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        _log.info("%s: resuming at byte %d", part.stem, start)
    with get_session().stream("GET", url, headers=headers, timeout=SILENCE) as response:
        if response.status_code == 416:  # there is no such rest: begin anew
            part.unlink()
            raise httpx2.RemoteProtocolError(f"no bytes from {start} on")
        hf_raise_for_status(response)
        resumed = response.status_code == 206
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            part.unlink()
            raise httpx2.RemoteProtocolError(f"other bytes than those from {start} on")
        with open(part, "ab" if resumed else "wb") as handle:
            for block in response.iter_bytes():
                handle.write(block)
                handle.flush()  # a kill loses nothing that has arrived
                if size is not None and handle.tell() > size:
                    break  # it would go on for as long as the sender likes
    arrived = part.stat().st_size
    if size is not None and arrived != size:
        if arrived > size:
            part.unlink()
        raise httpx2.RemoteProtocolError(f"{arrived} of {size} bytes")


def _git_blob(path: Path) -> str:
    """Git's id of a file's content; only small files are stored so."""
    content = path.read_bytes()
    header = b"blob %d\0" % len(content)
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def with_retries(action: Callable[[], _T], place: str) -> _T:
    """Do it, and again after a wait if what went wrong may pass.

    Raises:
        httpx2.HTTPError: it will not pass, or has not `TRIES` times.
    """
    for attempt in range(1, TRIES):
        try:
            return action()
        except httpx2.HTTPError as error:
            wait = _wait(error, attempt)
            if wait is None:
                raise
            _log.info("%s: %s; next try in %g s", place, _in_short(error), wait)
            time.sleep(wait)
    return action()


def _wait(error: httpx2.HTTPError, attempt: int) -> float | None:
    """Seconds to wait after a failure, as the hub asks or longer each time; None: do not."""
    seconds = 2.0 ** (attempt - 1)
    if isinstance(error, HfHubHTTPError):
        if error.response.status_code not in PASSING:
            return None
        seconds = max(seconds, _asked_wait(error.response.headers))
        return seconds if seconds <= LONGEST_WAIT else None
    lasting = (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)
    passing = isinstance(error, httpx2.TransportError) and not isinstance(error, lasting)
    return seconds if passing and not _is_unresolved(error) else None


def _is_unresolved(error: BaseException | None) -> bool:
    """Whether the hub's name has no address: where there is no network, waiting does not help."""
    while error is not None:
        if isinstance(error, socket.gaierror):
            return True
        error = error.__cause__ or error.__context__
    return False


def _asked_wait(headers: Mapping[str, str]) -> float:
    limits = parse_ratelimit_headers(headers)
    asked = float(limits.reset_in_seconds) if limits and limits.remaining == 0 else 0.0
    with contextlib.suppress(ValueError):  # a date, or nothing
        asked = max(asked, float(headers.get("Retry-After", "")))
    return asked


def _in_short(error: httpx2.HTTPError) -> str:
    if isinstance(error, HfHubHTTPError):
        return f"the hub answers {error.response.status_code}"
    return " ".join(f"{type(error).__name__} {error}".split())


def _refusal(error: Exception, kind: str, name: str, place: str) -> UserError:
    page = f"{shown_endpoint()}/{'datasets/' if kind == 'dataset' else ''}{name}"
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    token = "a token of that account in HF_TOKEN"  # noqa: S105
    if isinstance(error, OfflineModeIsEnabled):
        text = (
            "HF_HUB_OFFLINE is set; unset it and run `snakemake download` where there is a network"
        )
    elif isinstance(error, GatedRepoError):
        text = f"access is gated ({status}); accept its terms at {page} and set {token}"
    elif isinstance(error, RevisionNotFoundError):
        text = f"no such revision; allowed: a full commit of those at {page}/commits/main"
    elif isinstance(error, RepositoryNotFoundError):
        text = (
            f"no such repository, or a private one ({status}); allowed: one that {page} shows, "
            "with a token in HF_TOKEN if it is private"
        )
    elif status == 401:
        text = "the hub rejects the token in HF_TOKEN (401); allowed: a valid token, or none"
    elif status == 403:
        text = f"access is denied (403); see its terms at {page}, and set {token}"
    elif status == 404:
        text = f"not found (404); allowed: what {page} shows at this commit"
    elif status == 429:
        text = "the hub is still limiting requests (429); run again later, downloaded data is kept"
    elif status is not None:
        text = f"{_in_short(error)}; run again later, downloaded data is kept"  # type: ignore[arg-type]
    else:
        text = (
            f"no answer from {shown_endpoint()} ({_in_short(error)}); "  # type: ignore[arg-type]
            "run `snakemake download` with this configuration where there is a network, "
            "it resumes where it stopped"
        )
    return UserError(f"{place}: {text}")


def _place(kind: str, name: str, revision: str) -> str:
    return f"{kind} repository '{name}' at {revision}"


def _require_client() -> None:
    """Stop where the variables of the environment allow no connection at all.

    Raises:
        UserError: a file of certificates is missing, or a proxy is of a kind that is not supported.
    """
    try:
        get_session()
    except (OSError, ImportError, ValueError, httpx2.InvalidURL) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{variables_set()}: allow no connection ({reason}); allowed: files of certificates "
            "that are there, and proxies as in 'http://proxy:3128'"
        ) from None


def _token() -> str | Literal[False]:
    token = os.environ.get("HF_TOKEN", "").strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise UserError(
            "HF_TOKEN: contains characters that a token cannot have; allowed: a token alone"
        )
    return token or False

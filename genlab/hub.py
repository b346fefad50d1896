"""The Hugging Face Hub: fetch a model repository, push one. Every trouble becomes one error that says what to do."""

import re
from contextlib import suppress
from pathlib import Path

from genlab import __version__
from genlab.names import CARD, CONFIG, GOLDEN, METRICS, SAMPLES, WEIGHTS, HubError, LoadError

FILES = [CONFIG, WEIGHTS, CARD, METRICS, GOLDEN, SAMPLES]  # of a model repository
TIMEOUT = 10.0  # seconds for the Hub's first answer
LOG_IN = "Run `hf auth login`, or set HF_TOKEN to a token that may do this."


def download(repo_id: str, revision: str | None = None) -> Path:
    """Fetch a model repository's config, weights, card and figures into the Hub's cache; the folder. Raises LoadError.

    A commit that is cached asks nobody. When the Hub does not answer, the cache serves what it has of a branch or tag.
    """
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url, snapshot_download

    def fetch(**how) -> Path:
        return Path(snapshot_download(repo_id, revision=revision, allow_patterns=FILES, **how))

    if revision is not None and not re.fullmatch(r"(?!.*\.\.)\w[\w./+-]*", str(revision)):
        raise LoadError(f"{revision!r} is no revision: give a branch, a tag or a commit of {repo_id!r}")
    try:
        if re.fullmatch("[0-9a-f]{40}", revision or ""):
            with suppress(errors.LocalEntryNotFoundError):
                return fetch(local_files_only=True)
        try:  # one quick look, because the client retries a dead server for long and waits for a silent one for ever
            get_hf_file_metadata(hf_hub_url(repo_id, CONFIG, revision=revision), timeout=TIMEOUT)
        except (errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError, errors.HFValidationError):
            raise
        except Exception as error:
            with suppress(errors.LocalEntryNotFoundError):
                return fetch(local_files_only=True)
            raise error
        return fetch()
    except Exception as error:
        raise LoadError(f"{repo_id!r} could not be fetched: {advice(error, repo_id, revision)}") from error


def upload(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    branch: str | None = None,
    commit_message: str | None = None,
    token: str | None = None,
) -> str:
    """Create the model repository if need be and upload a folder in one commit; its URL. Raises HubError."""
    from huggingface_hub import HfApi, errors, get_token

    check_id(repo_id)
    if not (token or get_token()):
        raise HubError(f"{repo_id!r} could not be pushed: you are not logged in. {LOG_IN}")
    api = HfApi(token=token)
    try:
        try:
            known = api.model_info(repo_id, timeout=TIMEOUT)
        except errors.RepositoryNotFoundError:
            api.create_repo(repo_id, private=private)
        else:
            if private and not known.private:
                raise HubError(
                    f"{repo_id!r} exists and is public: make it private in its settings, or take another name"
                )
        if branch is not None:
            api.create_branch(repo_id, branch=branch, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=str(folder),
            revision=branch,
            commit_message=commit_message or f"Upload with genlab {__version__}",
        )
        return str(commit.commit_url)
    except HubError:
        raise
    except Exception as error:
        raise HubError(f"{repo_id!r} could not be pushed: {advice(error, repo_id, branch)}") from error


def check_id(repo_id: str) -> None:
    """Raise HubError for what is no place to push to."""
    if not isinstance(repo_id, str) or not re.fullmatch(r"[\w.-]+/[\w.-]+", repo_id):
        raise HubError(f"{repo_id!r} is not a valid Hub id to push to: give 'user/name', with your user name first")


def advice(error: Exception, repo_id: str, revision: str | None) -> str:
    """What went wrong with the Hub, and what to do about it."""
    from huggingface_hub import constants, errors

    hub, status = constants.ENDPOINT, getattr(getattr(error, "response", None), "status_code", None)
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set and the cache does not hold it. Unset it, or fetch the model once while online."
    if isinstance(error, errors.GatedRepoError):
        return f"it is gated. Accept its terms at {hub}/{repo_id}. {LOG_IN}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"it has no revision {revision!r}. Branches, tags and commits are listed at {hub}/{repo_id}/commits/main"
    if isinstance(error, errors.EntryNotFoundError) and status == 404:
        return f"it holds no {CONFIG}, so it is no genlab model. Check the name, or push the model again."
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"{hub} has no such repository, or it is private. Check the name. {LOG_IN}"
    if isinstance(error, errors.HFValidationError):
        return f"not a valid Hub id: {error}"
    if status in (401, 403):
        return f"{hub} refused ({status}): the token is wrong or may not do this. {LOG_IN}"
    if status is not None:
        return f"{hub} answered {status}: {error}. Try again later."
    return f"the connection to {hub} failed ({type(error).__name__}: {error}). Check the network and try again."

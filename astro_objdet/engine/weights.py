"""Weights: a safetensors file whose header holds the model card.

Cards are read without torch. A pickle is never loaded as weights: it can run
code; `astro_objdet.engine.convert` turns one into safetensors with ``weights_only=True``.
"""

import hashlib
import json
import struct
import warnings
from importlib.resources import files
from pathlib import Path

from astro_objdet.errors import InputError, ModelError, NetworkError
from astro_objdet.files import check_writable, sha256_of, write_whole

__all__ = [
    "calibrate_weights",
    "list_weights",
    "load_card",
    "load_state",
    "resolve_weights",
    "save_weights",
]

#: A header longer than this is no header of ours.
MAX_HEADER = 10_000_000
HUB_FILE = "model.safetensors"


def list_weights():
    """The bundled weights.

    Returns
    -------
    list of dict
        ``name``, ``path``, ``size`` (bytes), ``sha256`` and ``title`` of each.
    """
    rows = []
    for path in sorted(_bundled_folder().glob("*.safetensors")):
        rows.append(
            {
                "name": path.stem,
                "path": path,
                "size": path.stat().st_size,
                "sha256": sha256_of(path),
                "title": load_card(path)["title"],
            }
        )
    return rows


def _bundled_folder():
    return Path(str(files("astro_objdet") / "weights"))


def resolve_weights(name):
    """The file behind a bundled name, a path or ``hf://owner/name``.

    Parameters
    ----------
    name : str or path-like
        ``hf://owner/name``, with ``@revision`` behind it where wanted, names a
        repository of the Hugging Face hub whose file ``model.safetensors`` is
        fetched once and cached. A folder, such as that of a training run, stands for
        the file of that name in it.

    Returns
    -------
    `pathlib.Path`

    Raises
    ------
    ModelError
        When there is no such file; the bundled names are listed.
    NetworkError
        When the hub cannot be reached and nothing is cached.
    """
    text = str(name)
    if text.startswith("hf://"):
        return _from_hub(text)
    bundled = {path.stem: path for path in _bundled_folder().glob("*.safetensors")}
    if text in bundled:
        return bundled[text]
    path = Path(name)
    if path.is_dir() and (path / HUB_FILE).is_file():
        return path / HUB_FILE
    if path.is_file():
        return path
    if (path / "best.safetensors").is_file():
        raise ModelError(
            f"{path}: a run that has not ended; its best weights so far are in "
            f"{path / 'best.safetensors'}"
        )
    known = ", ".join(sorted(bundled)) or "none"
    raise ModelError(
        f"no weights at {text!r}: give a bundled name ({known}), "
        "the path of a .safetensors file or of a training run, or hf://owner/name"
    )


def _from_hub(text):
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    repository, _, revision = text.removeprefix("hf://").partition("@")
    try:
        path = hf_hub_download(repository, HUB_FILE, revision=revision or None)
    except HFValidationError:
        raise ModelError(f"{text!r} is not of the form hf://owner/name") from None
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ModelError(f"{text}: {str(error).splitlines()[0]}") from None
    except LocalEntryNotFoundError:
        raise NetworkError(f"{text}: hub not reached, and nothing cached") from None
    except EntryNotFoundError:
        raise ModelError(f"{text}: the repository has no {HUB_FILE}") from None
    except (HfHubHTTPError, OSError) as error:
        raise NetworkError(f"{text}: {str(error).splitlines()[0]}") from None
    return Path(path)


def load_card(name):
    """The model card in a weights file's header; torch is not needed.

    Parameters
    ----------
    name : str or path-like
        As for `resolve_weights`.

    Returns
    -------
    dict
        ``title``, ``detector``, ``recipe``, ``training``, ``scores``, ``licence``,
        ``known_failures``, ``tensors_sha256``, and where `calibrate_weights` put it
        ``calibration``.

    Raises
    ------
    ModelError
        For a pickle, another kind of file, or one without a card.
    """
    path = resolve_weights(name)
    metadata = _read_header(path).get("__metadata__", {})
    try:
        card = json.loads(metadata["astro_objdet"])
    except (KeyError, json.JSONDecodeError):
        raise ModelError(
            f"{path}: safetensors without an astro_objdet model card; "
            "make one with: astro-objdet weights convert"
        ) from None
    missing = {"title", "detector", "recipe", "tensors_sha256"} - set(card)
    if missing:
        raise ModelError(f"{path}: model card lacks {', '.join(sorted(missing))}")
    return card


def _read_header(path):
    with open(path, "rb") as file:
        start = file.read(8)
        if start[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
            raise ModelError(
                f"{path}: a pickle, which can run code when it is loaded; convert it "
                f"with: astro-objdet weights convert {path} --recipe deepcee-lite0 "
                "-o weights.safetensors"
            )
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= MAX_HEADER:
            raise ModelError(f"{path}: not a safetensors file")
        try:
            return json.loads(file.read(length))
        except (UnicodeDecodeError, json.JSONDecodeError):
            raise ModelError(f"{path}: not a safetensors file") from None


def load_state(name, *, sha256=None):
    """Tensors and card of a weights file, after checking both hashes.

    Parameters
    ----------
    name : str or path-like
        As for `resolve_weights`.
    sha256 : str, optional
        What the file must hash to.

    Returns
    -------
    state : dict of str to `torch.Tensor`
        On the CPU, in the precision they are stored in.
    card : dict
        As `load_card` gives it.
    sha256 : str
        Of the file.

    Raises
    ------
    ModelError
        When the file is damaged or a hash is not as it should be.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = resolve_weights(name)
    card = load_card(path)
    actual = sha256_of(path)
    if sha256 is not None and actual != sha256.lower():
        raise ModelError(f"{path}: sha256 is {actual}, expected {sha256}")
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: damaged weights: {error}") from None
    if _hash_tensors(state) != card["tensors_sha256"]:
        raise ModelError(f"{path}: damaged weights: sha256 differs from the card's")
    return state, card, actual


def save_weights(state, path, card, *, overwrite=False):
    """Write weights and their card, whole or not at all.

    Parameters
    ----------
    state : dict of str to `torch.Tensor`
        Stored as given; half precision saves half the size.
    path : path-like
        Ending in ``.safetensors``.
    card : dict
        See `load_card`; ``tensors_sha256`` is filled in.
    overwrite : bool

    Returns
    -------
    str
        sha256 of the file.
    """
    from safetensors.torch import save

    if Path(path).suffix != ".safetensors":
        raise InputError("weights are saved as .safetensors", path=path)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    card = {**card, "tensors_sha256": _hash_tensors(state)}
    content = save(state, metadata={"astro_objdet": json.dumps(card)})
    write_whole(path, content, overwrite=overwrite)
    return sha256_of(path)


def calibrate_weights(name, table, out, *, sky=None, overwrite=False):
    """Copy weights, with a calibration of their scores in the card.

    Parameters
    ----------
    name : str or path-like
        As for `resolve_weights`.
    table : path-like
        The detections of an evaluation, made by these weights on sky that training has
        not seen; see `astro_objdet.catalogs.calibration.Calibration.from_table`.
    out : path-like
        Ending in ``.safetensors``; written whole or not at all.
    sky : str, optional
        What sky the detections are of, for the card.
    overwrite : bool

    Returns
    -------
    calibration : `~astro_objdet.catalogs.calibration.Calibration`
    sha256 : str
        Of the file written.

    Raises
    ------
    InputError
        For a table that cannot be used, or that names another recipe or other
        weights as its origin.
    ModelError
        When the weights are missing or damaged.

    Warns
    -----
    UserWarning
        Where the table names neither.
    """
    from astro_objdet.catalogs.calibration import Calibration
    from astro_objdet.catalogs.tables.files import read_table

    state, card, digest = load_state(name)
    check_writable(out, overwrite, (resolve_weights(name), table))
    found = read_table(table)
    recipe = card["recipe"]["name"]
    provenance = {"recipe": recipe, "weights_sha256": digest}
    if sky is not None:
        provenance["sky"] = sky
    try:
        calibration = Calibration.from_table(found, provenance=provenance)
    except InputError as error:
        raise InputError(str(error), path=table) from None
    _check_origin(found.meta, table, recipe, digest, card.get("calibration"))
    card = {**card, "calibration": calibration.to_dict()}
    return calibration, save_weights(state, out, card, overwrite=overwrite)


def _check_origin(meta, path, recipe, digest, earlier):
    """Refuse detections that say they were made by another recipe or other weights."""
    if meta.get("recipe") not in (None, recipe):
        raise InputError(
            f"its detections are of the recipe {meta['recipe']!r}, the weights of {recipe!r}",
            path=path,
        )
    made_by = meta.get("weights")
    made_by = made_by.get("sha256") if isinstance(made_by, dict) else None
    if meta.get("recipe") is None and made_by is None:
        warnings.warn(
            f"{path}: names neither a recipe nor weights, so that it could not be checked that "
            "these weights made its detections",
            UserWarning,
            stacklevel=3,
        )
    # weights that are calibrated again have the tensors of those they were copied from
    known = (None, digest, earlier.get("weights_sha256") if isinstance(earlier, dict) else None)
    if made_by not in known:
        raise InputError(
            f"its detections were made by weights of sha256 {made_by}, these are {digest}",
            path=path,
        )


def _hash_tensors(state):
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()

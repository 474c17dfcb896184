"""Load tokenizers from folders: each does what its own files say.

transformers (5.23) builds the tokenizers of many classes anew: vocabulary and frame come from
tokenizer.json, but normaliser and pre-tokeniser from the class, so that accents, capitals and
prefix spaces can be treated otherwise than in pre-training. A tokenizer is therefore compared with
its tokenizer.json on texts that show this, and read from the file alone where the two differ.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, normalizers, pre_tokenizers
from transformers import (
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from layerscope.core.errors import UserError
from layerscope.core.files import read_json_object
from layerscope.core.wording import few
from layerscope.models.checks import loading, require_float_weights
from layerscope.models.sentencepieces import hold_to_model, is_of_tiktoken

FILE, SETTINGS = "tokenizer.json", "tokenizer_config.json"
#: Texts that tokenizers with other normalisers or pre-tokenisers take apart in other ways.
PROBES = (
    "fever",
    "Café naïve",
    "cafe\u0301 ﬁbrosis",
    "FEVER Fever",
    "IL-2 and TNF-α",
    "1,234.5 µg ½ 2024",
    "p < 0.05 & x > y",
    "蛋白 binding",
    "two  spaces\tand a tab",
    "first\nsecond",
    "(don't stop!) i.v. it's",
    "a_b/c@d",
    "pneumonoultramicroscopicsilicovolcanoconiosis",
    "😀 smile",
)
#: What tokenizer_config.json calls settings of tokenizer.json's normaliser; they prevail.
_OF_BERT = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}
#: Texts and pairs of texts to compare, and whether in their frame.
_CASES = (
    *(((f"{before}{text}",), False) for before in ("", " ") for text in PROBES),
    (("fever",), True),
    (("fever", "cough"), True),
)
#: What a token of a tokenizer can be, so that it is put around or between texts, or for a word.
ROLES = ("pad", "unk", "cls", "sep", "bos", "eos", "mask")
#: Packages that read models of SentencePiece, and a module of each.
_SENTENCEPIECE = {"sentencepiece": "sentencepiece", "protobuf": "google.protobuf"}

_log = logging.getLogger(__name__)


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
    """A model's tokenizer, with a padding token in any case (the end-of-text token if it has none).

    Raises:
        UserError: the folder holds no tokenizer, a package that it needs is missing, it would
            lower-case for a cased vocabulary though nothing says so, it is not what its file of
            SentencePiece says, or it has neither padding nor end-of-text token.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; allowed: a folder with a model")
    if (folder / "config.json").is_file():  # which a tokenizer may need, too
        require_float_weights(folder)
    tokenizer = _read(folder)
    if (folder / FILE).is_file():
        with loading(folder, "tokenizer"):
            tokenizer = _as_in_file(tokenizer, folder)
    else:
        _require_casing(folder, tokenizer)
        hold_to_model(tokenizer, PROBES)
    _tell_texts_apart(tokenizer, folder)
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise UserError(
                f"{folder}: its tokenizer has neither a padding nor an end-of-text token"
            )
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _read(folder: Path) -> PreTrainedTokenizerBase:
    """What transformers makes of a folder."""
    try:
        return _read_as(AutoTokenizer, folder)
    except UserError as error:
        _require_packages(folder)
        if not (folder / FILE).is_file():
            raise
        try:
            tokenizer = _read_as(PreTrainedTokenizerFast, folder)
        except UserError:
            raise error from None
        _log.info("%s; read from %s alone", error, FILE)
        return tokenizer


def _read_as(kind: Any, folder: Path) -> PreTrainedTokenizerBase:
    with loading(folder, "tokenizer"):
        tokenizer: PreTrainedTokenizerBase = kind.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        tokenizer.model_max_length = int(tokenizer.model_max_length)
    # Without its files, transformers gives an empty tokenizer of the configuration's class.
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        raise UserError(f"{folder}: its tokenizer has no vocabulary; allowed: one with its files")
    return tokenizer


def _require_packages(folder: Path) -> None:
    """Name what is not installed and reads the files of a tokenizer that could not be loaded."""
    if (folder / FILE).is_file():
        return
    for path in sorted([*folder.glob("*.model"), *folder.glob("*.tiktoken")]):
        needed = {"tiktoken": "tiktoken"} if is_of_tiktoken(path) else _SENTENCEPIECE
        missing = [package for package, module in needed.items() if not _is_installed(module)]
        if missing:
            raise UserError(
                f"{path}: needs the Python package{'s' * (len(missing) > 1)} "
                f"{' and '.join(missing)}; allowed: install what is missing, or add a {FILE}"
            )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it is in
        return False


def _require_casing(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    # BERT's class lower-cases unless tokenizer_config.json says otherwise: a cased model without
    # that file would lose most of its vocabulary.
    stated = "do_lower_case" in _entries(folder, SETTINGS)
    if stated or not getattr(tokenizer, "do_lower_case", False):
        return
    words = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)
    if any("A" <= letter <= "Z" for word in words for letter in word):
        is_alone = (folder / "vocab.txt").is_file()
        entry = "lower_case, true or false, in the model's 'source', or " if is_alone else ""
        raise UserError(
            f"{folder}: its vocabulary has capital letters, and its tokenizer would lower-case; "
            f"allowed: {entry}a {SETTINGS} that says do_lower_case"
        )


def _tell_texts_apart(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Give a model the numbers of its texts (`token_type_ids`) if it has embeddings of two.

    transformers decides by the class of the tokenizer: the general one gives none, whatever
    tokenizer.json says, and BERT's gives some to a RoBERTa, which has an embedding of one.
    """
    texts = _entries(folder, "config.json").get("type_vocab_size")
    names, name = tokenizer.model_input_names, "token_type_ids"
    if texts == 1:
        tokenizer.model_input_names = [each for each in names if each != name]
    elif (
        isinstance(texts, int)
        and texts > 1
        and type(tokenizer) is PreTrainedTokenizerFast
        and "model_input_names" not in _entries(folder, SETTINGS)
        and 1 in tokenizer("fever", "cough", return_token_type_ids=True)[name]
    ):
        tokenizer.model_input_names = [names[0], name, *names[1:]]


def _entries(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    return read_json_object(path) if path.is_file() else {}


# --- what tokenizer.json says ------------------------------------------------------------------


def _as_in_file(tokenizer: PreTrainedTokenizerBase, folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer, or one read from tokenizer.json alone where the two differ."""
    if type(tokenizer) is PreTrainedTokenizerFast or not tokenizer.is_fast:
        return tokenizer  # the file itself; or a tokenizer of other files
    filed = _pipeline(folder)
    if filed.post_processor is None:  # the file says nothing of the frame
        filed.post_processor = tokenizer.backend_tokenizer.post_processor
    found = _difference(tokenizer, filed)
    if found is None:
        return tokenizer
    texts, ours, theirs = found
    _log.info(
        "%s: tokenizer.json gives %s for %s, where transformers' %s gives %s; the file is used",
        folder,
        [filed.id_to_token(number) for number in theirs],
        " and ".join(map(repr, texts)),
        type(tokenizer).__name__,
        tokenizer.convert_ids_to_tokens(ours),
    )
    stated = {**_entries(folder, "special_tokens_map.json"), **_entries(folder, SETTINGS)}
    tokens = {
        name: token
        for name in (f"{role}_token" for role in ROLES)
        if (token := getattr(tokenizer, name)) is not None
        and (name in stated or filed.token_to_id(token) is not None)
    }
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=filed,
        model_max_length=tokenizer.model_max_length,
        model_input_names=tokenizer.model_input_names,
        padding_side=tokenizer.padding_side,
        **tokens,
    )


def _pipeline(folder: Path) -> Tokenizer:
    """The tokenizer of tokenizer.json, which neither cuts nor pads.

    Settings of tokenizer_config.json that its normaliser or pre-tokeniser has too prevail, as they
    do in transformers; what a class takes where nothing is stated does not.
    """
    filed, stated = Tokenizer.from_file(str(folder / FILE)), _entries(folder, SETTINGS)
    filed.no_truncation()
    filed.no_padding()
    if isinstance(normalizer := filed.normalizer, normalizers.BertNormalizer):
        for name in _OF_BERT.keys() & stated.keys():
            setattr(normalizer, _OF_BERT[name], stated[name])
        filed.normalizer = normalizer
    splitter = filed.pre_tokenizer
    if isinstance(splitter, pre_tokenizers.ByteLevel) and "add_prefix_space" in stated:
        splitter.add_prefix_space = bool(stated["add_prefix_space"])
        filed.pre_tokenizer = splitter
    return filed


def _difference(
    tokenizer: PreTrainedTokenizerBase, filed: Tokenizer
) -> tuple[tuple[str, ...], list[int], list[int]] | None:
    """A text, or a pair of texts, that two tokenizers take apart in two ways, and both ways."""
    filed.encode_special_tokens = True  # a text that spells a special token is text
    for (text, *second), framed in _CASES:
        pair = (text, second[0] if second else None)
        ours = tokenizer(*pair, add_special_tokens=framed, split_special_tokens=True)["input_ids"]
        theirs = filed.encode(*pair, add_special_tokens=framed).ids
        if list(ours) != theirs:
            return (text, *second), list(ours), theirs
    return None


# --- what a model has embeddings of -------------------------------------------------------------


def require_embeddings(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: str | Path
) -> None:
    """Stop where a tokenizer gives ids for which the model has no embedding.

    Special tokens without a role are logged alone: no text gives them, since a text that spells one
    is text. So is the mask, which pre-training of an encoder alone needs (`require_mask`).

    Raises:
        UserError: it does; the first such token is named.
    """
    rows = _rows(model)
    past = {token: at for token, at in tokenizer.get_vocab().items() if at >= rows}
    given = [token for token in past if _is_given(tokenizer, token)]
    if given:
        token = min(given, key=lambda name: past[name])
        roles = [name for name in ROLES if getattr(tokenizer, f"{name}_token") == token]
        raise UserError(
            f"{folder}: its tokenizer has {token!r}{f' ({roles[0]}_token)' if roles else ''} with "
            f"id {past[token]}, but its model has embeddings of {rows} tokens; allowed: "
            "embeddings of all tokens, as resize_token_embeddings makes them, or a tokenizer "
            "without this one"
        )
    if past:
        names = sorted(past, key=lambda name: past[name])
        _log.info(
            "%s: %d tokens that no text gives have no embedding: %s",
            folder,
            len(names),
            few(names, 10),
        )


def require_mask(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: str | Path
) -> None:
    """Stop where masked pre-training has no token to mask with, or the model no embedding of it.

    Raises:
        UserError: it is so.
    """
    mask, rows = tokenizer.mask_token_id, _rows(model)
    if mask is None or mask >= rows:
        found = "no mask token" if mask is None else f"{tokenizer.mask_token!r} with id {mask}"
        raise UserError(
            f"{folder}: its tokenizer has {found}, but its model has embeddings of {rows} tokens; "
            "allowed for masked pre-training: a mask token with an embedding"
        )


def require_padding(config: PreTrainedConfig, folder: str | Path) -> None:
    """Stop where a configuration's padding token has no embedding.

    Raises:
        UserError: it has none.
    """
    text = config.get_text_config()
    pad, rows = getattr(text, "pad_token_id", None), getattr(text, "vocab_size", None)
    if isinstance(pad, int) and isinstance(rows, int) and pad >= rows:
        raise UserError(
            f"{Path(folder, 'config.json')}: pad_token_id is {pad}, and vocab_size {rows}; "
            f"allowed: an id below {rows}, or null"
        )


def _rows(model: PreTrainedModel) -> int:
    """Tokens of which a model has an embedding.

    Raises:
        UserError: it reads characters, without a vocabulary (CANINE).
    """
    try:
        embeddings: Any = model.get_input_embeddings()
    except NotImplementedError:
        raise UserError(
            f"{type(model).__name__} has no embeddings of tokens; "
            "allowed: a model with a vocabulary"
        ) from None
    return int(embeddings.weight.shape[0])


def _is_given(tokenizer: PreTrainedTokenizerBase, token: str) -> bool:
    """Whether a token may be among the ids that texts are turned into."""
    roles = [getattr(tokenizer, f"{name}_token") for name in ROLES if name != "mask"]
    if not tokenizer.is_fast or token in roles:
        return True
    known = tokenizer.backend_tokenizer
    added = known.get_added_tokens_decoder().get(known.token_to_id(token))
    return added is None or not added.special or token in known.get_vocab(with_added_tokens=False)

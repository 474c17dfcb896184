"""Vocabularies of the replicas' tokenizers, of the published kinds, learnt from a few lines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import sacremoses
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer

# Plain ASCII, so that Greek letters and emoji are unknown to a WordPiece vocabulary made from it.
TEXT = """\
The patient was admitted with fever, chills and a productive cough lasting three weeks.
No evidence of acute fracture or dislocation was seen on the radiograph of the left hip.
Expression of the IL-2 gene requires NF-kappa B binding to the promoter in T cells.
IL-2 receptor alpha chain mRNA was increased in activated human T lymphocytes.
Activation of NF-kappaB by TNF-alpha was blocked in Jurkat cells treated with aspirin.
The transcription factor GATA-1 binds the beta-globin enhancer in erythroid cells.
Glucocorticoid receptor levels in peripheral blood mononuclear cells were low (p < 0.05).
Patients with a history of hypertension & diabetes mellitus received metformin daily.
He denies chest pain, nausea, vomiting, diarrhea, dysuria or shortness of breath.
She has no known drug allergies and takes no medication at home.
Phosphorylation of the tyrosine kinase Jak3 was observed after 5 min of stimulation.
The 5'-UTR of the mRNA contains an AP-1 site, which is "weak" but functional.
HIV-1 long terminal repeat activity was measured by a luciferase reporter assay.
Serum potassium was 5.6 mmol/l and creatinine > 2.0 mg/dl on the second day.
An MRI of the brain showed a small infarct in the territory of the middle cerebral artery.
Mutations of the BRCA1 tumor suppressor gene predispose women to breast cancer.
The protein kinase C inhibitor H-7 abolished the induction of c-fos and c-jun.
Monocytes and macrophages express CD14; B lymphocytes express CD19 and CD20.
Seizures, muscle weakness and global developmental delay began in the first year of life.
Abnormal shape of the heart valve with a loud systolic murmur was noted at birth.
Retinoic acid induces differentiation of HL-60 cells into granulocytes.
Vitamin D3 analogues inhibit growth of the promyelocytic leukemia cell line.
The quick examination of joints revealed extra swelling, yet hands were of normal size.
Oxygen saturation was 92% on room air; jugular veins were flat and lungs quite clear.
A biopsy of the kidney showed crescents in 40% of glomeruli [see figure 2].
Estrogen and progesterone receptors were quantified by enzyme immunoassay.
Zinc finger proteins such as Egr-1 and Sp1 compete for overlapping sites.
Low-dose cyclosporin A and FK506 block calcineurin and hence NF-AT activation.
Ras, Raf and MEK act upstream of the mitogen-activated protein kinases ERK1/ERK2.
The premise entails the hypothesis; otherwise it is neutral or a contradiction.
Quinine, vancomycin and azithromycin were given; a X-ray excluded pneumonia.
Epstein-Barr virus nuclear antigen 2 transactivates the LMP1 promoter.
Adenovirus E1A + E1B proteins transform cells = loss of p53 function.
Jaundice, pruritus & dark urine suggested obstruction of the common bile duct.
Hypoxia up-regulates VEGF, EPO and GLUT1 through HIF-1 (see also: XIAP, Wnt, Yap*).
Kinase activity of Zap70 {wild type} was unchanged; ~ 10^6 cells/ml were used @ 37 C.
"""
LINES = TEXT.splitlines()
LETTERS = [chr(code) for code in range(ord("!"), ord("~") + 1)]


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _learn(words: Iterable[tuple[str, ...]], count: int, inner: str = "") -> list[tuple[str, str]]:
    """Byte-pair merges, most frequent first (Sennrich et al. 2016); ties in alphabetical order.

    The trainers of `tokenizers` number sub-words that have a prefix or suffix in no fixed order.

    Args:
        words: each as its symbols.
        count: merges at most.
        inner: prefix of a symbol inside a word that goes when it is merged.
    """
    seen = Counter(words)
    merges = []
    for _ in range(count):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, times in seen.items():
            for pair in pairwise(word):
                pairs[pair] += times
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        seen = Counter({_merge(word, best, inner): times for word, times in seen.items()})
    return merges


def _merge(word: tuple[str, ...], pair: tuple[str, str], inner: str) -> tuple[str, ...]:
    merged: list[str] = []
    at = 0
    while at < len(word):
        found = word[at : at + 2] == pair
        merged.append(pair[0] + pair[1].removeprefix(inner) if found else word[at])
        at += 2 if found else 1
    return tuple(merged)


# --- BERT and BioBERT ---------------------------------------------------------------------------


def wordpiece(folder: Path) -> int:
    """`vocab.txt` with special tokens where BERT has them; returns its size."""
    splitter = pre_tokenizers.BertPreTokenizer()
    words = [word for line in LINES for word, _ in splitter.pre_tokenize_str(line)]
    spelled = [(word[0], *(f"##{letter}" for letter in word[1:])) for word in words]
    merges = _learn(spelled, 450, "##")
    names = [
        "[PAD]",
        *(f"[unused{index}]" for index in range(1, 6)),
        *("[UNK]", "[CLS]", "[SEP]", "[MASK]"),
        *LETTERS,
        *(f"##{letter}" for letter in LETTERS),
    ]
    names = list(dict.fromkeys([*names, *(a + b.removeprefix("##") for a, b in merges)]))
    (folder / "vocab.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    return len(names)


# --- GPT-2 --------------------------------------------------------------------------------------

END = "<|endoftext|>"


def byte_level(folder: Path) -> int:
    """`vocab.json`, `merges.txt` and `tokenizer.json`; returns the vocabulary's size."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = BpeTrainer(
        vocab_size=600,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES, trainer)
    tokenizer.add_special_tokens([END])
    tokenizer.save(str(folder / "tokenizer.json"))
    numbers = dict(sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]))
    write_json(folder / "vocab.json", numbers)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(numbers)


# --- BioGPT -------------------------------------------------------------------------------------


def _moses(lines: Sequence[str]) -> list[str]:
    moses = sacremoses.MosesTokenizer(lang="en")
    return [moses.tokenize(line, aggressive_dash_splits=True, return_str=True) for line in lines]


def fast_bpe(folder: Path) -> int:
    """`vocab.json` and `merges.txt` over Moses tokens, word ends marked; returns the size."""
    words = [word for line in _moses(LINES) for word in line.split()]
    merges = _learn([(*word[:-1], f"{word[-1]}</w>") for word in words], 450)
    letters = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    names = ["<s>", "<pad>", "</s>", "<unk>", *letters, *(a + b for a, b in merges)]
    numbers = {name: index for index, name in enumerate(dict.fromkeys(names))}
    write_json(folder / "vocab.json", numbers)
    # fastBPE writes how often it saw a pair behind it.
    counted = [f"{a} {b} {len(merges) - rank}" for rank, (a, b) in enumerate(merges)]
    (folder / "merges.txt").write_text("\n".join(counted) + "\n", encoding="utf-8")
    return len(numbers)

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.data.text import sentences, text_key, words

STEADY = settings(deadline=None)  # no test depends on how busy the machine is


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One thing. Another thing.", ["One thing.", "Another thing."]),
        ("Seen in mice (e.g. Mus musculus). Rare!", ["Seen in mice (e.g. Mus musculus).", "Rare!"]),
        ("Smith et al. Nature 2001.", ["Smith et al. Nature 2001."]),
        ("Growth of E. Coli in urine.", ["Growth of E. Coli in urine."]),
        ("Over 2.5 SD. 3 of 4 have it.", ["Over 2.5 SD.", "3 of 4 have it."]),
        ('It is "thick." Or thin?  Yes', ['It is "thick."', "Or thin?", "Yes"]),
        ("no capital. after the stop", ["no capital. after the stop"]),
        ("", []),
    ],
)
def test_sentences(text, expected):
    assert sentences(text) == expected


@STEADY
@given(st.text(alphabet="ab .!?AB()\n", max_size=60))
def test_sentences_lose_nothing_but_white_space(text):
    found = sentences(text)
    assert " ".join(found) == " ".join(text.split())
    assert all(sentence == sentence.strip() != "" for sentence in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("T-cell lymphoma, rare.", ["T-cell", "lymphoma", ",", "rare", "."]),
        ("Meckel's (>2.5 cm)", ["Meckel's", "(", ">", "2.5", "cm", ")"]),
        ("and/or", ["and", "/", "or"]),
        ("Sjögren", ["Sjögren"]),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


@STEADY
@given(st.text(max_size=60))
def test_words_lose_nothing_but_white_space(text):
    assert "".join(words(text)) == "".join(text.split())


def test_key_ignores_case_punctuation_and_white_space_but_not_words():
    assert text_key("An abnormality, of  the Eye.") == text_key("an abnormality of the eye")
    assert text_key("of the left eye") != text_key("of the right eye")

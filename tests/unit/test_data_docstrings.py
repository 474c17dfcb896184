import sys
from textwrap import dedent

import pytest

from layerscope.core.errors import UserError
from layerscope.data.corpora import package_docs
from layerscope.data.docstrings import docstrings, package_files, package_releases, prose

DOCSTRING = dedent(
    """
    Return the mean of the given values,
    computed in double precision.

    Parameters
    ----------
    a : array_like
        Array of numbers whose mean is desired. See `other.function`_
        for what is allowed.
    axis : {0, 1}, optional
        Axis = 0 is not a plain sentence at all.

    Returns
    -------
    out : ndarray
        A new array with the *mean* of each ``row`` [1]_.

    See Also
    --------
    median : This is a sentence in a list of names.

    Notes
    -----
    .. versionadded:: 1.2
       This belongs to a directive and goes.

    The sum is divided by :ref:`the number <count>` of values.

    .. math:: this is only a formula for the eye.

    .. note:: Do take care when all of the values are missing.

    - The first point of a list goes over
      two lines of text here.
    - the second does not begin a sentence properly.

    An example of this follows below here::

        this code is a literal block and goes.

    The text goes on after the block.

    Examples
    --------
    >>> mean([1, 2])
    This output is a part of the example.

    Here the result is one and a half.

    References
    ----------
    .. [1] This is a book that somebody wrote.
    """
)


def test_prose_is_what_reads_as_english():
    assert prose(DOCSTRING) == [
        "Return the mean of the given values, computed in double precision.",
        "Array of numbers whose mean is desired. See other.function for what is allowed.",
        "A new array with the mean of each row.",
        "The sum is divided by the number of values.",
        "Do take care when all of the values are missing.",
        "The first point of a list goes over two lines of text here.",
        "The text goes on after the block.",
        "Here the result is one and a half.",
    ]


def test_docstrings_of_all_that_is_defined_and_of_nothing_else():
    source = dedent(
        '''
        """Module."""
        x = """No docstring."""
        class A:
            """Class."""
            def f(self):
                """Method."""
                def g():
                    """Inner."""
            """No docstring either."""
        if x:
            async def h():
                """In a condition."""
        else:
            try:
                pass
            except ValueError:
                def i():
                    """In a handler."""
        '''
    )
    assert list(docstrings(source.encode())) == [
        (0, "Module."),
        (4, "Class."),
        (6, "Method."),
        (8, "Inner."),
        (12, "In a condition."),
        (18, "In a handler."),
    ]
    assert list(docstrings(b"def broken(:")) == []


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An importable package that fails if it is imported."""
    root = tmp_path / "madeup_package"
    (root / "tests").mkdir(parents=True)
    (root / "__init__.py").write_text("raise SystemExit('imported')")
    (root / "tests" / "test_a.py").write_text('"""This is a test and not documentation."""')
    common = "This sentence stands in every single module of it."
    for index in range(60):
        word = "abcdefghijklmnopqrstuvwxyz"[index % 26] * (1 + index // 26)
        text = f"Compute the {word} of all given values. {common}"
        (root / f"m{index:02d}.py").write_text(f'"""{text}"""')
    monkeypatch.syspath_prepend(tmp_path)
    return root.name


def test_files_are_found_without_importing_and_without_tests(package):
    names = [name for name, _ in package_files(package)]
    assert names[:2] == [f"{package}/__init__.py", f"{package}/m00.py"]
    assert len(names) == 61
    assert package not in sys.modules


@pytest.mark.parametrize("name", ["no_such_package", "not a name", "math"])
def test_a_package_without_source_is_refused(name):
    with pytest.raises(UserError, match=f"package '{name}': no Python source is installed"):
        package_files(name)


def test_no_sentence_stands_twice_or_on_both_sides(package):
    corpus = package_docs([package], None, 7)
    everything = [text for _, text in (*corpus.heldout, *corpus.train)]
    assert len(corpus.heldout) == 2
    assert len(everything) == 60
    assert sum("in every single module" in text for text in everything) == 1
    assert len(set(everything)) == 60


def test_a_corpus_depends_on_the_seed_and_its_cap_on_words(package):
    whole = package_docs([package], None, 7)
    assert whole == package_docs([package], None, 7)
    assert whole.heldout != package_docs([package], None, 8).heldout
    capped = package_docs([package], 100, 7)
    assert capped.heldout == whole.heldout
    assert capped.train == whole.train[: len(capped.train)]
    assert 90 < sum(len(text.split()) for _, text in capped.train) <= 100


def test_releases_are_those_of_the_distribution():
    import sklearn

    found = package_releases(["sklearn", "no_such_package"])
    assert found["sklearn"]["distribution"] == "scikit-learn"
    assert found["sklearn"]["version"] == sklearn.__version__
    assert "BSD" in found["sklearn"]["license"]
    assert found["no_such_package"]["version"] == ""

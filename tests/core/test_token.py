from __future__ import annotations

import base64

import pytest

from core.errors import Invalid
from core.token import PREFIX, Token, read_token, write_token


def test_a_token_is_one_word_that_reads_as_it_was_written() -> None:
    token = Token("https://heimdall.example:8010", "a-secret_of-43-characters")
    word = write_token(token)
    assert word.replace("_", "").replace("-", "").isalnum()
    assert read_token(f" {word}\n") == token


def test_its_secret_is_not_in_what_a_log_would_show() -> None:
    assert "the-secret" not in repr(Token("https://x", "the-secret"))


def word_of(text: str) -> str:
    return PREFIX + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "word",
    [
        "", "x", PREFIX, PREFIX + "!", PREFIX + "a" * 5_000, word_of("not json"), word_of("[]"), word_of("{}"),
        word_of('{"url":"ftp://x","secret":"s"}'), word_of('{"url":"http://","secret":"s"}'),
        word_of('{"url":"http://x","secret":5}'), word_of('{"url":5,"secret":"s"}'), word_of('{"url":"http://x"}'),
        write_token(Token("http://x", "s"))[:-3], "[" * 1_000,
    ],
)  # fmt: skip
def test_a_damaged_token_is_refused_without_being_repeated(word: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_token(word)
    assert not word or len(word) < 5 or word not in str(caught.value)

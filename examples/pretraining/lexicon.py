"""Which words are spoken: English and other languages, without digits and what sounds like them."""

import unicodedata
from pathlib import Path

from espeak import HELD_OUT_LANGUAGES, OTHER_LANGUAGES, engine
from wordfreq import top_n_list

HERE = Path(__file__).parent
DIGITS = "zero one two three four five six seven eight nine".split()
N_ENGLISH = 2000
N_FOREIGN = 120
# wordfreq's names for languages that espeak calls otherwise.
NAMES = {"pt-br": "pt", "en-us": "en"}
# Letters of one sound: the two forms of g, and reduced vowels.
SAME = str.maketrans("\u0261\u1d7b\u0250\u025a", "g\u026a\u0259\u0279")


def sound(word, language):
    """IPA letters of a word; stress, length and other marks are left out."""
    engine().set_voice(language)
    ipa = engine().ipa(word)
    if "(" in ipa:  # espeak took it for a word of another language
        return ""
    return "".join(c for c in ipa.translate(SAME) if unicodedata.category(c) == "Ll")


def digit_sounds(languages):
    """The digits of every language, as its voice speaks the written digit."""
    sounds = {sound(word, "en-us") for word in DIGITS}
    return sounds | {sound(str(d), language) for language in languages for d in range(10)}


def is_digit_like(word, heard, digits):
    """The sounds of a digit, or a digit of four sounds within, or spelled and heard within."""
    spelled = any(d in word and sound(d, "en-us") in heard for d in DIGITS)
    return spelled or any(heard == d or (len(d) >= 4 and d in heard) for d in digits)


def is_word(text):
    return len(text) >= 3 and all(unicodedata.category(c)[0] in "LM" for c in text)


def candidates(language):
    words = top_n_list(NAMES.get(language, language), 6000)
    if language != "en-us":
        return words
    return [*(HERE / "words.txt").read_text().split(), *(w for w in words if w.isascii())]


def held_out_rows():
    """The words of the validation episodes."""
    words = (HERE / "held_out.txt").read_text().split()
    return [("en-us", word, sound(word, "en-us")) for word in words]


def lexicon():
    """Training rows (language, word, IPA letters); no two sound alike, none as one held out."""
    languages = ["en-us", *OTHER_LANGUAGES]
    digits = digit_sounds([*languages, *HELD_OUT_LANGUAGES])
    taken = {heard for _, _, heard in held_out_rows()}
    rows = []
    for language in languages:
        n_wanted = N_ENGLISH if language == "en-us" else N_FOREIGN
        found = []
        for word in filter(is_word, candidates(language)):
            heard = sound(word, language)
            if heard in taken or not 2 <= len(heard) <= 14 or is_digit_like(word, heard, digits):
                continue
            taken.add(heard)
            found.append((language, word, heard))
            if len(found) == n_wanted:
                break
        rows += found
    return rows

"""Passwords nobody should use: those that leak most often, and the words and habits people reach for first.

Attackers try the list beside this file, then its variations; so each word is refused together with them: capitals,
look-alike digits, and digits or punctuation around it.
"""

import re
from pathlib import Path
from typing import Final

#: As leaked, small letters; the most frequent first.
LEAKED: Final = tuple(
    line
    for line in (Path(__file__).parent / "common_passwords.txt").read_text("ascii").splitlines()
    if not line.startswith("#")
)

_WORDS = frozenset(
    """
    password passwort passphrase passcode letmein welcome login signin admin administrator root toor guest
    user username default master manager secret secrets access account changeme change temp temporary test
    tester testing testtest demo example sample hello hellothere iloveyou loveyou lovely love babygirl baby
    princess sunshine dragon monkey football baseball basketball hockey soccer cricket superman batman
    spiderman starwars pokemon minecraft freedom whatever trustno trustnoone nothing computer internet
    google facebook instagram linkedin twitter microsoft windows apple android samsung iphone summer winter
    spring autumn january february march april june july august september october november december monday
    tuesday wednesday thursday friday saturday sunday michael jennifer jessica ashley daniel charlie thomas
    robert william andrew matthew joshua jordan hunter ginger pepper cheese cookie chocolate banana orange
    purple yellow silver golden shadow flower butterfly angel angels heaven jesus christ blessed ninja
    killer mustang ferrari porsche mercedes harley corvette yamaha liverpool arsenal chelsea barcelona
    realmadrid london berlin paris newyork america england canada india mumbai delhi bangalore company
    business office server database system security network perdure workflow workflows qwerty qwertyuiop
    qwertz azerty asdfgh asdfghjkl zxcvbn zxcvbnm qazwsx qazwsxedc qweasd qweasdzxc asdf qwer abcdef
    abcdefgh abcd abc aaaa xxxx
    """.split()  # noqa: SIM905  a paragraph of words is easier to read and to extend
)
_REFUSED = _WORDS | frozenset(LEAKED)
_LOOKALIKES = str.maketrans("01345789@$!", "oleastbgasi")
_AROUND = re.compile(r"^[\W\d_]+|[\W\d_]+$")
_BEFORE, _AFTER = re.compile(r"^[\W\d_]+"), re.compile(r"[\W\d_]+$")
#: Nobody puts more around a word out of habit.
_DECORATION = 8
_RUNS = (
    "0123456789012345",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "1qaz2wsx3edc4rfv5tgb",
)


def is_common(password: str) -> bool:
    """True for a listed word with its usual decorations, a repetition, a run along alphabet or keyboard."""
    plain = password.casefold()
    if plain in _REFUSED or len(set(plain)) <= 2 or _repeats(plain):
        return True
    if plain.isdigit() and len(plain) <= 10 and len(set(plain)) <= 4:
        return True
    if any(plain in run or plain in run[::-1] for run in _RUNS):
        return True
    bare = _AROUND.sub("", plain)
    lookalike = _AROUND.sub("", plain.translate(_LOOKALIKES))
    if not bare and len(plain) < 14:  # digits and punctuation only: dates, telephone numbers
        return True
    words = {bare, lookalike, bare.translate(_LOOKALIKES), *_undecorated(plain)}
    return bool(words & _REFUSED)


def _undecorated(plain: str) -> set[str]:
    """With some of the digits and punctuation around it taken away: leaked ones have digits of their own."""
    leading = len(plain) - len(_BEFORE.sub("", plain))
    trailing = len(plain) - len(_AFTER.sub("", plain))
    return {
        plain[first : len(plain) - last]
        for first in range(min(leading, _DECORATION) + 1)
        for last in range(min(trailing, _DECORATION) + 1)
    }


def _repeats(text: str) -> bool:
    """True when the text is one short piece written several times ("abcabcabc")."""
    return len(text) >= 8 and (text + text).find(text, 1) in range(1, 5)

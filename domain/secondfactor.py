"""Second factors: how long what is good, and what a backup code looks like."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

#: A secret that was shown has to be proven by a code within this.
ENROLMENT: Final = timedelta(minutes=15)
#: A device is trusted so long, however often it is used.
TRUSTED: Final = timedelta(days=30)
CODES: Final = 10
#: With this many left, their owner is told.
FEW_CODES: Final = 3
#: Crockford's letters: none is taken for another one.
ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_ALIKE: Final = str.maketrans("ilou", "110v")
_SELECTOR, _SECRET = 4, 12
_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class BackupCode:
    """`selector` finds the code among its owner's, the 60 bits of `secret` prove it."""

    selector: str
    secret: str

    def __str__(self) -> str:
        whole = self.selector + self.secret
        return "-".join(whole[at : at + 4] for at in range(0, len(whole), 4))

    def __repr__(self) -> str:
        return f"BackupCode({self.selector}, …)"

    @classmethod
    def of(cls, letters: str) -> "BackupCode":
        """From 16 letters of the alphabet, chosen at random."""
        return cls(letters[:_SELECTOR], letters[_SELECTOR:])

    @classmethod
    def parse(cls, text: str) -> "BackupCode | None":
        """None for what cannot be one; case, spaces and dashes do not matter."""
        letters = "".join(text.split()).replace("-", "").lower().translate(_ALIKE)
        if len(letters) != LETTERS or not set(letters) <= set(ALPHABET):
            return None
        return cls.of(letters)


LETTERS: Final = _SELECTOR + _SECRET


def digits(text: str) -> str | None:
    """The six digits an authenticator shows, typed with or without spaces; None for anything else."""
    code = "".join(text.split())
    return code if len(code) == _DIGITS and code.isascii() and code.isdigit() else None

"""What became of a request that reached the address of a trigger."""

from enum import StrEnum


class Verdict(StrEnum):
    #: Being received: a large body is on its way into the store. Left behind only by a process that died.
    RECEIVING = "receiving"
    ACCEPTED = "accepted"
    #: Accepted before; names the same execution.
    DUPLICATE = "duplicate"
    #: A handshake of the provider; starts nothing.
    CHALLENGE = "challenge"
    #: A test that would have been accepted.
    TESTED = "tested"
    #: Authentic and readable, but the workflow cannot run or the input does not fit.
    REJECTED = "rejected"
    MALFORMED = "malformed"
    STALE = "stale"
    #: Proves nothing: no signature or a wrong one, or a body that never came whole.
    FORGED = "forged"
    OVERSIZED = "oversized"


class Source(StrEnum):
    """Who sent it."""

    PROVIDER = "provider"
    TEST = "test"
    REPLAY = "replay"


#: Authentic, so that starting them again on a person's word is no way around the signature.
REPLAYABLE = frozenset({Verdict.ACCEPTED, Verdict.TESTED, Verdict.REJECTED, Verdict.MALFORMED})
#: What a sample may come from.
SAMPLES = frozenset({Verdict.ACCEPTED, Verdict.TESTED})


class Forged(Exception):
    """The request does not prove that it comes from whoever knows the secret; the text says how it failed."""


class Stale(Exception):
    """The signature is right, but the signed moment is too far from now."""


class Malformed(Exception):
    """The request is authentic, but says nothing an execution could take as input."""

from datetime import UTC, datetime, timedelta

import pytest

from api.limits import Limiter, LoginLimits, Rate
from domain.errors import TooManyRequests

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_a_bucket_empties_and_refills_with_time() -> None:
    limiter = Limiter(Rate(2, 30))
    limiter.spend("mara", NOON)
    limiter.spend("mara", NOON)
    with pytest.raises(TooManyRequests) as refused:
        limiter.spend("mara", NOON + timedelta(seconds=10))
    assert refused.value.retry_after == 20
    limiter.spend("mara", NOON + timedelta(seconds=30))
    limiter.spend("somebody else", NOON)


def test_hammering_does_not_prolong_the_wait() -> None:
    limiter = Limiter(Rate(1, 60))
    limiter.spend("mara", NOON)
    for second in range(1, 60):
        with pytest.raises(TooManyRequests):
            limiter.spend("mara", NOON + timedelta(seconds=second))
    limiter.spend("mara", NOON + timedelta(seconds=60))


def test_failing_elsewhere_does_not_lock_the_owner_out() -> None:
    limits = LoginLimits()
    for _ in range(8):
        limits.login_failed("mara@x.example", "203.0.113.9", NOON)
    with pytest.raises(TooManyRequests):
        limits.before_login("mara@x.example", "203.0.113.9", NOON)
    limits.before_login("mara@x.example", "198.51.100.4", NOON)


def test_probing_registration_for_known_addresses_is_slow() -> None:
    limits = LoginLimits()
    for _ in range(5):
        limits.registration_refused("203.0.113.9", NOON)
    with pytest.raises(TooManyRequests):
        limits.before_registration("203.0.113.9", NOON)


def test_guessing_one_account_from_many_addresses_is_slowed_too() -> None:
    limits = LoginLimits()
    for number in range(40):
        limits.before_login("mara@x.example", f"203.0.113.{number}", NOON)
        limits.login_failed("mara@x.example", f"203.0.113.{number}", NOON)
    with pytest.raises(TooManyRequests):
        limits.before_login("mara@x.example", "203.0.113.99", NOON)
    limits.before_login("mara@x.example", "203.0.113.99", NOON + timedelta(seconds=20))


def test_guessing_many_accounts_from_one_address_is_slowed_too() -> None:
    limits = LoginLimits()
    for number in range(60):
        limits.login_failed(f"mara{number}@x.example", "203.0.113.9", NOON)
    with pytest.raises(TooManyRequests):
        limits.before_login("another@x.example", "203.0.113.9", NOON)

"""The id of an event says what its bearer has been told."""

import pytest

from domain.watching import Seen, course_of


def test_a_step_is_news_until_its_end_was_told() -> None:
    seen = Seen()
    assert seen.is_news(1, "running", 1)
    seen = seen.step(1, "running", 1)
    assert not seen.is_news(1, "running", 1)
    assert seen.is_news(1, "running", 2), "another attempt"
    seen = seen.step(1, "completed", 2)
    assert not seen.is_news(1, "completed", 2)


def test_an_attempt_that_failed_is_news_before_the_next_one_begins() -> None:
    seen = Seen().step(1, "running", 1)
    assert seen.is_news(1, "running", 1, is_due=True)
    seen = seen.step(1, "running", 1, is_due=True)
    assert not seen.is_news(1, "running", 1, is_due=True)
    assert seen.is_news(1, "running", 2)
    assert Seen.parse(str(seen)) == seen


def test_a_step_that_comes_late_is_news_although_later_ones_were_told() -> None:
    seen = Seen().step(3, "completed", 1)
    assert seen.unsettled == [1, 2]
    assert seen.is_news(2, "completed", 1)
    seen = seen.step(2, "completed", 1)
    assert not seen.is_news(2, "completed", 1)
    assert seen.unsettled == [1]


def test_an_id_means_what_it_was_made_of() -> None:
    seen = Seen().step(1, "running", 1).step(2, "waiting", 3).step(5, "completed", 1).row(17, is_over=True)
    assert Seen.parse(str(seen)) == seen
    assert Seen.parse(str(Seen())) == Seen()


def test_an_id_says_which_course_it_is_of() -> None:
    course = course_of("5c1b1e1e-0000-4000-8000-000000000000")
    assert course not in (course_of(None), course_of("another"))
    seen = Seen(course).step(1, "running", 1).row(17, is_over=False)
    assert seen.course == course
    assert Seen.parse(str(seen)) == seen


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "0.1.2.x.3.0",
        "0.1.2..3.2",
        "0.-1.2...0",
        "0.1.2.1r-.3.0",
        "abc.1.2...0",
        "1.2...0",
        "9" * 5000,
    ],
)
def test_anything_else_is_no_id(text: str) -> None:
    assert Seen.parse(text) is None

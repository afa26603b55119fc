"""Where validation differs from the JSON Schema of the DSL: in one table each, which tests and documents read.

Everything else agrees: what the schema refuses is refused, and what it accepts is accepted.
"""

import re
from dataclasses import dataclass
from typing import Final

from domain.errors import Problem


@dataclass(frozen=True, slots=True)
class Rule:
    """A code of problems the schema does not know, where it may be told (a pattern of pointers), and why."""

    code: str
    reason: str
    places: str = ""

    def covers(self, problem: Problem) -> bool:
        return problem.code == self.code and re.search(self.places, problem.pointer) is not None


#: What the schema accepts and validation refuses.
STRICTER: Final = (
    Rule("not_supported", "part of the language that this version does not run yet"),
    Rule("refused", "part of the language that is not safe where many organizations share workers"),
    # Names and references
    Rule("unknown_target", "`then` names no step of its list, or a branch wants to lead to another"),
    Rule("unknown_error", "`raise` names an error that `use.errors` does not declare"),
    Rule("unknown_retry", "`retry` names a policy that `use.retries` does not declare"),
    Rule("unknown_timeout", "`timeout` names one that `use.timeouts` does not declare"),
    Rule("unknown_authentication", "`use` names an authentication that is not declared"),
    Rule("unknown_action", "`call` names no function and no action"),
    Rule("unknown_catalog", "`call` names a catalog that `use.catalogs` does not declare"),
    Rule("unknown_step", "`$steps` names no step"),
    Rule("unnamed_step", "`$steps` must name the step whose output is kept"),
    Rule("ambiguous_step", "`$steps` names several steps"),
    Rule("undeclared_secret", "a secret is read that `use.secrets` does not list"),
    Rule("unnamed_secret", "`$secrets` must name the secret that is fetched"),
    Rule("secret_not_here", "a secret is read where it would become data of the execution"),
    Rule("duplicate_name", "two steps of a list, cases, extensions or loop variables have the same name"),
    Rule("reserved_name", "a name has a meaning of its own: continue, exit, end, $input …"),
    Rule("bad_name", "a name nobody could write in an expression, a pointer or a log"),
    Rule("recursive_function", "a function calls itself"),
    # Ways
    Rule("empty_list", "a list of steps without a step"),
    Rule("unreachable_step", "no way leads to a step"),
    Rule("unreachable_case", "a case stands behind one that always matches"),
    Rule("two_defaults", "a `switch` has two cases without `when`"),
    # Values
    Rule("bad_expression", "an expression that cannot be compiled"),
    Rule("unknown_variable", "an expression reads a variable that does not exist at its place"),
    Rule("mixed_text", "an expression inside of a text, outside of `with`"),
    Rule("static_text", "an expression where texts are read as they are written"),
    Rule("bad_schema", "a JSON Schema that cannot be compiled"),
    Rule("bad_duration", "a duration that is negative, counts months or years, or exceeds a year"),
    Rule("bad_range", "a jitter whose `from` is longer than its `to`"),
    Rule("bad_value", "a number of retries below zero", "/count$"),
    Rule("bad_cron", "a cron expression that never comes true"),
    Rule("too_often", "a schedule that is due more often than once a minute", "^/schedule/(every|after)$"),
    Rule("bad_input", "a schedule without the input that `input.schema` demands", "^/schedule$"),
    Rule("bad_pointer", "an `instance` that is no JSON pointer", "/instance$"),
    Rule("bad_reference", "a type or address that is none"),
    Rule("dsl_version", "a version of the DSL other than 1.0"),
    Rule("bad_version", "a version with more than nine digits in a number", "^/document/"),
    Rule("several_choices", "`schedule` says several of every, cron, after, on", "^/schedule"),
    Rule("missing_field", "`schedule` says none of every, cron, after, on", "^/schedule$"),
    Rule("missing_field", "an `emit` without any attribute of its event", "/emit/event$"),
    # Fields of parts that the schema leaves open
    Rule("unknown_field", "a field of the document that nothing reads", "^/[^/]*$"),
    Rule("misplaced", "`triggers`, `actions` and `variables` stand beside the definition", "^/[^/]*$"),
    Rule(
        "unknown_field", "a field of a filter of errors that nothing compares", "/catch/errors(/with)?/[^/]*$"
    ),
    Rule("wrong_type", "a `metadata.compensate` that is no call", "/metadata/compensate"),
    Rule("missing_field", "a `metadata.compensate` without a call", "/metadata/compensate"),
    Rule("unknown_field", "a field of `metadata.compensate` that nothing reads", "/metadata/compensate/"),
    # Arguments of actions, which the schema of the DSL does not know
    Rule("missing_argument", "an argument that the action demands"),
    Rule("unknown_argument", "an argument that the action does not take"),
    Rule("wrong_argument_type", "an argument of another type than the action takes"),
    Rule("bad_argument", "an argument that the action refuses"),
    Rule("bad_address", "an address that is not of the web"),
    # Authentications
    Rule("missing_credentials", "a grant or a client without what it needs to get a token"),
    Rule(
        "several_choices", "an authentication of several schemes", "/(authentications/[^/]*|authentication)$"
    ),
    Rule("bad_reference", "an authentication of `use.authentications` that refers to another one"),
    Rule(
        "unknown_field",
        "a field of an authentication that nothing reads",
        "^/use/authentications/[^/]*/[^/]*$",
    ),
    Rule("unknown_field", "an endpoint of OAuth 2 that nobody asks", "/(endpoints|request)/[^/]*$"),
    # Events
    Rule("bad_event_type", "the type of an event is empty or longer than 200 characters"),
    Rule("bad_attribute", "an attribute of an event that has no such name"),
    Rule("attribute_too_long", "an attribute of an event that is longer than 1000 characters"),
    Rule("empty_attribute", "an attribute of an event without a character"),
    Rule("bad_time", "a `time` that is none"),
    Rule("bad_pattern", "a filter's pattern that cannot be compiled"),
    Rule("no_filter", "`listen` to `all` events of an empty list"),
    Rule(
        "misplaced_until",
        "`schedule.on` with an `until`: its first event starts the workflow",
        "^/schedule/on",
    ),
    Rule("uneven_correlation", "events of one set that correlate by different names", "^/schedule/on"),
    Rule("unusable_function", "a function kept elsewhere that cannot be used"),
    Rule(
        "unknown_field",
        "a field beside the attributes of an event, or of a correlation",
        "/(event|correlate/[^/]*)/[^/]*$",
    ),
    # Limits
    Rule("definition_too_large", "more than 256 KB"),
    Rule("too_many_steps", "more than 500 steps"),
    Rule("too_many_branches", "more than 100 branches"),
    Rule("too_many", "more than 100 components of a sort"),
    Rule("too_deep", "steps nested deeper than 16, JSON deeper than 64"),
    Rule("expression_too_long", "an expression of more than 4 KB"),
    Rule("value_too_large", "a value of more than 128 KB"),
    Rule("too_many_problems", "told once there are 200 problems"),
)

#: What the schema refuses and validation accepts: places of light writing, which publishing writes in full.
LIGHT: Final = (
    ("^/document$", "the header is filled in from the names of workflow and organization"),
    ("^/document/(dsl|namespace|name|version)$", "each field of it likewise"),
    ("/wait$", "`3 days` for `P3D`"),
    ("/after$", "the same in timeouts and schedules"),
    ("^/schedule/every$", "the same"),
    ("/(delay|duration|from|to)$", "the same in retry policies"),
    ("/for/in$", "a list of any values, not only of objects"),
    ("/with/(headers|query)/[^/]*$", "numbers and truth values for the texts they are sent as"),
)


def is_stricter(problem: Problem) -> bool:
    """Whether the table explains a problem of a document that the schema accepts."""
    return any(rule.covers(problem) for rule in STRICTER)

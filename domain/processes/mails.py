"""Telling people something: one mail from a template, or whatever an account's own affairs ask for."""

from typing import Any, Final

from domain.processes import NAMESPACE, Process


def _document(name: str, do: list[dict[str, Any]]) -> dict[str, Any]:
    return {"document": {"dsl": "1.0.3", "namespace": NAMESPACE, "name": name, "version": "1.0.0"}, "do": do}


#: Input: {"template", "to", "values": {…}, "token": {"purpose", "id"} or null, "path" of a page or null}.
MAIL: Final = Process(
    name="mail",
    kind="mail",
    title="Send a mail",
    document=_document(
        "mail",
        [
            {
                "send": {
                    "call": "mail.template",
                    "with": {
                        "template": "${ .template }",
                        "to": "${ .to }",
                        "values": "${ .values }",
                        "token": "${ .token }",
                        "path": "${ .path }",
                    },
                }
            }
        ],
    ),
)
#: Input: {"about", "id"}, for `resend` {"about", "email"}. Only the worker looks whether the address is known, so
#: that the request that asked did the same work either way.
ACCOUNT_MAIL: Final = Process(
    name="account-mail",
    kind="account_mail",
    title="Write to the owner of an account",
    document=_document(
        "account-mail",
        [
            {
                "find": {
                    "call": "mail.recipients",
                    "with": {"about": "${ .about }", "id": "${ .id }", "email": "${ .email }"},
                }
            },
            {
                "tell": {
                    "for": {"each": "mail", "in": "${ .mails }"},
                    "do": [
                        {
                            "send": {
                                "call": "mail.template",
                                "with": {
                                    "template": "${ $mail.template }",
                                    "to": "${ $mail.to }",
                                    "values": "${ $mail.values }",
                                    "token": "${ $mail.token }",
                                },
                            }
                        }
                    ],
                }
            },
        ],
    ),
)
#: Input: {"id"} of the token whose six digits are sent.
PHONE_CODE: Final = Process(
    name="phone-code",
    kind="phone_code",
    title="Send a code to a telephone",
    document=_document(
        "phone-code",
        [
            {"find": {"call": "sms.recipients", "with": {"id": "${ .id }"}}},
            {
                "tell": {
                    "for": {"each": "message", "in": "${ .messages }"},
                    "do": [
                        {
                            "send": {
                                "call": "sms.code",
                                "with": {"to": "${ $message.to }", "id": "${ $message.id }"},
                            }
                        }
                    ],
                }
            },
        ],
    ),
)

"""Telling people something: one process that sends one mail from a template."""

from typing import Final

from domain.processes import NAMESPACE, Process

#: Input: {"template", "to", "values": {…}, "token": {"purpose", "id"} or null}.
MAIL: Final = Process(
    name="mail",
    kind="mail",
    title="Send a mail",
    document={
        "document": {"dsl": "1.0.3", "namespace": NAMESPACE, "name": "mail", "version": "1.0.0"},
        "do": [
            {
                "send": {
                    "call": "mail.template",
                    "with": {
                        "template": "${ .template }",
                        "to": "${ .to }",
                        "values": "${ .values }",
                        "token": "${ .token }",
                    },
                }
            }
        ],
    },
)

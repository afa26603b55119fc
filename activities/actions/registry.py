"""The actions of this worker: found by name and version, guarded at both ends."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from activities.actions import (
    approvals,
    audit,
    bulk,
    clients,
    clientsearch,
    email,
    erasure,
    events,
    executions,
    exports,
    http,
    imports,
    mails,
    openapi,
    organizations,
    recipients,
    sms,
    templates,
)
from activities.actions.context import ActionContext
from activities.actions.declaration import Action, Arguments, Result, action
from activities.actions.measuring import measured
from activities.actions.refusals import explain
from domain.actions import Catalogue, Effect, Lane
from domain.definitions.faults import Fault
from domain.definitions.values import Json, ValueRefused, check_value

__all__ = ["Action", "Arguments", "Registry", "Result", "action", "built_in"]


class Registry:
    """Validates arguments before an action and measures its result after it; its exceptions pass through."""

    def __init__(self, actions: Iterable[Action[Any]]) -> None:
        self._actions: dict[tuple[str, str], Action[Any]] = {}
        for entry in actions:
            key = (entry.spec.name, entry.spec.version)
            if key in self._actions:
                raise ValueError(f"the action {key[0]}:{key[1]} is declared twice")
            self._actions[key] = entry

    def specs(self) -> Catalogue:
        """What definitions of tenants may call."""
        return Catalogue(entry.spec for entry in self._actions.values() if not entry.spec.is_internal)

    def every_spec(self) -> Catalogue:
        """What the product's own processes may call."""
        return Catalogue(entry.spec for entry in self._actions.values())

    def check(self, name: str, version: str, arguments: Json) -> Arguments:
        """The arguments as the action will see them. Raises Fault validation 400 naming every refused one."""
        checked: Arguments = self._validated(self._find(name, version), arguments)
        return checked

    def effect(self, name: str, version: str, arguments: Json) -> Effect:
        """What repeating this very call does. Raises Fault validation 400 for refused arguments."""
        entry = self._find(name, version)
        checked = self._validated(entry, arguments)
        return entry.spec.effect if entry.effect_of is None else entry.effect_of(checked)

    async def effect_found(self, name: str, version: str, context: ActionContext, arguments: Json) -> Effect:
        """The same, from what is to be read outside. Raises Fault as `run` would."""
        entry = self._find(name, version)
        checked = self._validated(entry, arguments)
        if entry.effect_found is None:
            return self.effect(name, version, arguments)
        return await entry.effect_found(context, checked)

    async def run(self, name: str, version: str, context: ActionContext, arguments: Json) -> Json:
        """Carry the action out and return its output as plain JSON of at most 128 KB."""
        entry = self._find(name, version)
        if entry.spec.lane in (Lane.TASK, Lane.EXECUTION):
            raise RuntimeError(f"{name} is a wait; the engine registers it instead of running it")
        with measured(name):
            result = await entry.perform(context, self._validated(entry, arguments))
        try:
            return check_value(entry.output.dump_python(result, mode="json"))
        except ValueRefused as refusal:
            raise Fault("runtime", 500, "Result refused", f"the result of {name}: {refusal}") from None

    def _find(self, name: str, version: str) -> Action[Any]:
        entry = self._actions.get((name, version))
        if entry is None:
            raise Fault(
                "configuration",
                400,
                "Unknown action",
                f"this worker has no action {name}:{version}; publish the workflow again to pin one",
            )
        return entry

    def _validated(self, entry: Action[Any], arguments: Json) -> Any:
        if not isinstance(arguments, Mapping):
            raise Fault(
                "validation",
                400,
                "Arguments refused",
                f"the arguments of {entry.spec.name} must be an object",
            )
        try:
            return entry.arguments.model_validate(check_value(arguments))
        except ValueRefused as refusal:
            raise Fault("validation", 400, "Arguments refused", f"{entry.spec.name}: {refusal}") from None
        except ValidationError as error:
            detail = explain(error, entry.arguments, arguments)
            raise Fault("validation", 400, "Arguments refused", f"{entry.spec.name}: {detail}") from None


def built_in() -> Registry:
    """Every action this release ships."""
    return Registry(
        [
            approvals.approve,
            approvals.ask,
            audit.export_part,
            audit.finish_export,
            clients.create_client,
            clients.find_contact,
            clients.get_client,
            clients.update_client,
            clientsearch.find_clients,
            email.send_email,
            executions.run_workflow,
            executions.start_workflow,
            events.emit,
            http.request,
            imports.export_part,
            imports.finish,
            imports.import_part,
            mails.send_template,
            recipients.find_recipients,
            sms.find_telephone,
            sms.send_code,
            openapi.request,
            organizations.settle,
            templates.render,
            *bulk.ACTIONS,
            *erasure.ACTIONS,
            *exports.ACTIONS,
        ]
    )

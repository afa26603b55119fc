"""The closed sets of AI agents."""

from enum import StrEnum


class AgentCategory(StrEnum):
    ASSISTANT = "assistant"
    WORKFLOW = "workflow"
    ACCOUNTING = "accounting"


class ModelProvider(StrEnum):
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    AZURE_OPENAI = "azure-openai"


class PricingModel(StrEnum):
    """Who pays for an agent's turns."""

    #: Nobody, whatever the plan: such an agent asks for none but the free plan.
    FREE = "free"
    #: The subscription, from the plan `subscription_min_plan` on.
    INCLUDED = "included"
    #: Its use, by the call and the token, on the subscription's next invoice.
    METERED = "metered"


class MessageRole(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    #: What a tool answered to a call of the assistant.
    TOOL = "tool"

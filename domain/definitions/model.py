"""The vocabulary of definitions: which words exist, which this version runs, which it refuses and why.

The words are those of the Open Workflow DSL 1.0.3; everything here is data that validation reads.
"""

from typing import Final

DSL_VERSION: Final = "1.0.3"

MAX_DEFINITION_BYTES: Final = 256 * 1024
MAX_JSON_DEPTH: Final = 64
MAX_STEPS: Final = 500
MAX_BRANCHES: Final = 100
#: How many entries one part of `use` may have.
MAX_COMPONENTS: Final = 100
MAX_NESTING: Final = 16
MAX_EXPRESSION_BYTES: Final = 4 * 1024
MAX_NAME_LENGTH: Final = 100
#: A step's pointer is part of its activity id, which Temporal limits to 1000 bytes.
MAX_POINTER_BYTES: Final = 900

DOCUMENT_FIELDS: Final = frozenset(
    {"dsl", "namespace", "name", "version", "title", "summary", "tags", "metadata"}
)
ROOT_FIELDS: Final = frozenset(
    {"document", "input", "output", "do", "evaluate", "use", "schedule", "timeout"}
)

#: What every step may say besides its keyword.
COMMON_FIELDS: Final = frozenset({"if", "input", "output", "export", "timeout", "then", "metadata"})

#: Each keyword with the fields it brings along. `for` brings `do`, so `do` is a keyword only without it.
KEYWORDS: Final[dict[str, frozenset[str]]] = {
    "call": frozenset({"call", "with"}),
    "do": frozenset({"do"}),
    "emit": frozenset({"emit"}),
    "for": frozenset({"for", "while", "do"}),
    "fork": frozenset({"fork"}),
    "listen": frozenset({"listen", "foreach"}),
    "raise": frozenset({"raise"}),
    "run": frozenset({"run"}),
    "set": frozenset({"set"}),
    "switch": frozenset({"switch"}),
    "try": frozenset({"try", "catch"}),
    "wait": frozenset({"wait"}),
}
SUPPORTED: Final = frozenset(
    {"call", "do", "emit", "for", "fork", "listen", "raise", "run", "set", "switch", "try", "wait"}
)

#: Where keywords keep lists of steps; those of unsupported ones are checked too.
STEP_LISTS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "do": (("do",),),
    "for": (("do",),),
    "fork": (("fork", "branches"),),
    "listen": (("foreach", "do"),),
    "try": (("try",), ("catch", "do")),
}

#: Lists whose steps read only what their step itself reads: a handler's variable is not there yet.
BEFORE_THE_HANDLER: Final = frozenset({("try",)})
#: Lists whose entries run side by side instead of one after another.
SIDE_BY_SIDE: Final = frozenset({("fork", "branches")})

#: What an extension can be put around; `composite` is a `do`.
EXTENDABLE: Final = frozenset(KEYWORDS) - {"do", "fork"} | {"composite", "all"}

#: Checked completely although the interpreter does not run it yet; whoever builds it removes it here.
NOT_YET: Final[frozenset[str]] = frozenset()

#: How a `listen` reads the events it consumes.
READINGS: Final = ("data", "envelope", "raw")
MAX_EVENT_TYPE: Final = 200

DIRECTIVES: Final = ("continue", "exit", "end")

#: Calls of the DSL itself, and the action that carries each out.
PROTOCOLS: Final = {"http": "http.request", "openapi": "openapi.request"}
UNSUPPORTED_PROTOCOLS: Final = frozenset({"grpc", "asyncapi", "a2a", "mcp"})

REFUSED_PROCESSES: Final = {
    "shell": "it would run commands on the workers that all organizations share",
    "script": "it would run foreign code on the workers that all organizations share",
    "container": "it would start foreign programs on the machines that all organizations share",
}
REFUSED_STDIO: Final = "it would start a program on the workers that all organizations share"
REFUSED_FILE: Final = "it would read files of the workers that all organizations share"

#: Names that expressions can read; the interpreter's `scopes` gives them their values.
WORKFLOW_SCOPE: Final = frozenset({"context", "input", "workflow", "runtime", "steps"})
STEP_SCOPE: Final = WORKFLOW_SCOPE | {"task"}
OUTPUT_SCOPE: Final = frozenset({"output"})
#: Only in the arguments of actions that run as activities, which alone evaluate them.
SECRETS: Final = frozenset({"secrets"})
RESERVED_VARIABLES: Final = STEP_SCOPE | OUTPUT_SCOPE | SECRETS | {"authorization", "error", "ENV", "__loc__"}

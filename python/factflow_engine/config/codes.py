"""Catalogue of finding codes: the meaning of each, and the remedy.

Kept separate from the loader because it is data: the loader takes severities and remedies from it, the documentation is
printed from it, and a test proves that each code has its case. Codes are stable; a code is never reused for another
meaning.
"""

from typing import Final

from factflow_engine.adapters.keeping import LOSS_REMEDY
from factflow_engine.finding_code import Code

FAMILIES: Final = {
    "0": "Text and YAML",
    "1": "Structure and names",
    "2": "Wiring",
    "3": "Adapter configuration",
    "4": "Conditions",
    "5": "Resilience and limits",
}

# fmt: off
_ROWS: Final[tuple[tuple[str, str, str, str], ...]] = (
    (
        "E001",
        "YAML syntax",
        "The text is not YAML from this place on.",
        'correct the text here, or just before; inside [...] and {...} quote "${NAME}"',
    ),
    (
        "E002",
        "duplicate key",
        "A mapping has the same key twice; one of them would be ignored silently.",
        "keep one of them",
    ),
    (
        "E003",
        "document too large",
        "A configuration has a bound in bytes and in values, so that no text can exhaust memory or time.",
        "split the pipeline, or move data out of its configuration; PipelineConfigLoader(max_bytes=...) raises the bound",
    ),
    ("E004", "nested too deep", "Collections may stand in one another 64 deep.", "flatten the structure"),
    (
        "E005",
        "aliases expand too far",
        "Written out, the document's aliases would be too large; a short text can stand for billions of values.",
        "write the values out, or use fewer aliases",
    ),
    (
        "E006",
        "unsupported version",
        "The version says how the rest is to be read, and this one is not known.",
        'write version: "1.0", in quotes',
    ),
    (
        "E007",
        "undefined variable",
        "The environment has no variable of this name, and no default is given.",
        "define it, or write ${NAME:default}",
    ),
    ("E008", "not UTF-8", "The bytes are not UTF-8 text.", "save the file as UTF-8"),
    (
        "E009",
        "byte order mark",
        "An invisible character stands before the text; other tools take it for part of the first key.",
        "save the file as UTF-8 without a byte order mark",
    ),
    ("E010", "tab", "YAML does not allow tabs where indentation is.", "indent with spaces"),
    (
        "E011",
        "unknown tag",
        "A configuration holds plain data; tags that make other objects are refused.",
        "remove the tag",
    ),
    (
        "E012",
        "several documents",
        "A file holds one pipeline; what follows the second --- would be ignored.",
        "put it in a file of its own",
    ),
    (
        "E013",
        "merge key",
        "<< is not part of YAML 1.2.",
        "write the fields out, or alias the whole mapping; routes inherit what the top of the document says",
    ),
    (
        "E014",
        "alias without anchor",
        "An alias names an anchor that is not defined before it, or that it is itself part of.",
        "define &NAME before *NAME",
    ),
    ("E015", "key is not a string", "Keys are strings; an unquoted number, true or null is none.", "quote the key"),
    ("E016", "unreadable file", "The file cannot be read.", "check the path and its permissions"),
    (
        "E017",
        "empty document",
        "There is nothing in the text but comments and space.",
        'write at least version: "1.0" and routes:',
    ),
    (
        "E018",
        "character not allowed",
        "YAML text has no control characters and no halves of surrogate pairs.",
        "remove it, or write its escape in a double-quoted string",
    ),
    (
        "E019",
        "malformed reference",
        "${ begins a reference to the environment, and this is none.",
        "write ${NAME} or ${NAME:default}; for a literal ${ write $${",
    ),
    (
        "E020",
        "number too long",
        "A number has more digits than any field can hold.",
        "shorten it, or quote it if it is text",
    ),
    (
        "E021",
        "environment too large",
        "Variables may add a bounded amount of text to a document, so that a short one cannot exhaust memory.",
        "read large data from a file or a message rather than from the environment",
    ),
    ("E101", "unknown field", "No field has this name here.", "remove it, or correct its spelling"),
    ("E102", "missing field", "A field that must be given is not.", "add it"),
    (
        "E103",
        "unknown adapter type",
        "No adapter of this type is registered.",
        "correct its spelling; or install the adapter, name its module with --adapters, or register it in the program",
    ),
    (
        "E104",
        "wrong kind of value",
        "The field takes another kind of value; nothing is converted.",
        "write a value of the expected kind",
    ),
    ("E105", "value not allowed", "The field does not take this value.", "write one of the values allowed"),
    (
        "E106",
        "invalid name",
        "Ids of routes and names of stages become parts of queue names, storage keys and metrics.",
        "use letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 128",
    ),
    (
        "E107",
        "duplicate stage name",
        "Stages are told apart by their names, which are unique in a route.",
        "give the stage another name",
    ),
    (
        "E108",
        "stages need names",
        "An adapter type stands twice in a route, so that its stages cannot both be called by it.",
        "give this stage a name: of its own",
    ),
    ("E109", "no routes", "A pipeline needs a route.", "write routes: with at least one route"),
    ("E201", "init message to nowhere", "No route has this id.", "correct its spelling, or add the route"),
    (
        "E202",
        "outbound to nowhere",
        "No route has this id.",
        "correct its spelling, or add the route; for a queue write queue:",
    ),
    (
        "E203",
        "one target an outbound",
        "An outbound names a route or a queue, not both and not neither.",
        "write route: or queue:; for two targets write two outbounds",
    ),
    ("E204", "invalid queue name", "The queue provider does not take this name.", "write /queue/NAME or /topic/NAME"),
    (
        "E205",
        "message cannot be carried",
        "The init message holds a value that no message can hold.",
        "use null, booleans, 64-bit integers, floats, strings, lists and mappings",
    ),
    (
        "E206",
        "nowhere to dead-letter",
        "Unrouted messages are to be dead-lettered, but the route has no dead-letter queue.",
        "set error_handling.dead_letter_queue",
    ),
    (
        "E207",
        "dead letters to a topic",
        "A topic keeps nothing for those who do not read it yet, so that dead letters would be lost.",
        "write /queue/NAME; a route that reads it may publish to the topic",
    ),
    (
        "E208",
        "unusable object store",
        "The URL's scheme decides which store is used, and reads the rest; this one cannot be opened.",
        "write file:///DIRECTORY, or another URL that docs/storage.md describes",
    ),
    (
        "E209",
        "two objects under one key",
        "A store_object stage writes an object for each message; its own store writes another under the same key.",
        "remove store, or give it another extension",
    ),
    (
        "E210",
        "unusable lineage store",
        "The URL's scheme decides which store is used, and reads the rest; this one cannot be opened.",
        "write sqlite:///FOLDER, or another URL that docs/lineage.md describes",
    ),
    (
        "E301",
        "unknown field of an adapter",
        "The adapter's configuration has no field of this name.",
        "remove it, or correct its spelling",
    ),
    ("E302", "missing field of an adapter", "The adapter's configuration needs this field.", "add it"),
    (
        "E303",
        "wrong value for an adapter",
        "The adapter does not take this value.",
        "write a value that the adapter takes; `factflow adapters show TYPE` describes them",
    ),
    (
        "E306",
        "stage would lose its state",
        "The queue keeps its messages when the process dies, and the adapter does not keep what it made of them.",
        LOSS_REMEDY,
    ),
    (
        "E307",
        "stage cannot be isolated",
        "The adapter cannot run where the stage's isolation, or the adapter's runs_in, says.",
        "write isolation: thread, or for an async process() remove isolation",
    ),
    (
        "E308",
        "module does not import",
        "A module that is named raised an error while it was imported.",
        "correct the line that is named",
    ),
    (
        "E309",
        "module not installed",
        "A module that is named, or one that it imports, cannot be found where factflow runs.",
        "install its package, or put its folder on PYTHONPATH",
    ),
    (
        "E310",
        "module is a program",
        "Importing the module would run a program, perhaps without end; it was not imported.",
        'put the call under if __name__ == "__main__":, or move the adapters to a module of their own',
    ),
    (
        "E311",
        "no usable adapter",
        "A module named by --adapters has no adapter class, or one that the engine could not use.",
        "mark each adapter class of the module with adapter_type in its body",
    ),
    (
        "E501",
        "value out of range",
        "A limit, delay or threshold has bounds outside which it makes no sense.",
        "write a value within the bounds",
    ),
    (
        "E502",
        "values contradict each other",
        "Each value is allowed, but not together with another one.",
        "change one of them",
    ),
    (
        "E503",
        "unknown limit algorithm",
        "No limit algorithm has this name: built in, registered by the program, or of an installed package.",
        "write the name of an algorithm; docs/limits.md lists the built-in ones",
    ),
    (
        "E504",
        "parameter of a limit algorithm",
        "The algorithm has no such parameter, or does not take this value.",
        "write one that it takes, or remove it; docs/limits.md lists the parameters",
    ),
    (
        "E505",
        "shared limit with two settings",
        "Routes and stages with the same group share one limit, which has one algorithm and one set of bounds.",
        "write the same settings in each, or name another group",
    ),
    (
        "E506",
        "shared limit that waits for itself",
        "A message holds its route's permit while it waits for its stage's: by shared limits they may wait for one another.",
        "give the stage's limit another group, or none",
    ),
    (
        "E507",
        "route's limit with a key",
        "A route has one limit for all its messages. Only a stage's limit may have one for each value of a field.",
        "move key to the backpressure of the stage that makes the calls",
    ),
    ("W001", "unused anchor", "Nothing refers to this anchor.", "remove it, or refer to it"),
    (
        "W002",
        "default with a hyphen",
        "A default is what follows the colon. The shell writes ${NAME:-default}; here that hyphen is part of the default.",
        "write ${NAME:default}",
    ),
    (
        "W101",
        "route does nothing",
        "A route without adapters and outbounds takes messages and drops them.",
        "add adapters or outbounds, or remove the route",
    ),
    (
        "W201",
        "unreachable route",
        "No message can come here: from an init message, a topic or, without init messages, a route that nothing feeds.",
        "lead an outbound or an init message to it, or remove it",
    ),
    (
        "W202",
        "queue nobody reads",
        "Point-to-point queues are private to an execution, and no route of this one reads this queue.",
        "read it in a route, send to a route: instead, use a /topic/, or write external: true if a program reads it",
    ),
    (
        "W203",
        "cycle of bounded queues",
        "Routes feed one another in a circle; a message that is never filtered goes round for ever.",
        "make sure that a condition ends the circle",
    ),
    (
        "W204",
        "dead-letter queue loops",
        "What is dead-lettered comes back to the route that gave it up.",
        "let nobody, or a route that does not lead back, read the dead-letter queue",
    ),
    (
        "W205",
        "routes compete for a queue",
        "Two routes read the same messages under the same subscription: which of them gets one is chance.",
        "give each route a queue of its own, or on a topic a subscription of its own",
    ),
    (
        "W206",
        "outbound never used",
        "With outbound_mode: first, an earlier outbound without a condition takes every message.",
        "move the outbound without a condition to the end",
    ),
    (
        "W501",
        "setting has no effect",
        "Another setting makes this one meaningless.",
        "remove it, or change the other one",
    ),
    (
        "W502",
        "limited by another setting",
        "The value cannot be reached, because another setting is lower.",
        "lower this one, or raise the other",
    ),
)
# fmt: on

CATALOGUE: Final[dict[str, Code]] = {
    code: Code(code=code, title=title, explanation=explanation, remedy=remedy)
    for code, title, explanation, remedy in _ROWS
}
"""The loader's codes, in order. Those of conditions are added from the compiler's own catalogue."""

"""Errors that raise when they are examined, as no author means them to; each made anew."""

from factflow_protocols import CircuitOpenError, RetryLater


class Examined(BaseException):
    """No `Exception`, so that nothing short of every exception is enough to catch."""


def raises(*_):
    raise Examined


def broken(*names, base=Exception, **methods):
    """A class of errors whose attributes of these names raise, and may not be set."""
    attributes = {name: property(raises) for name in names}
    return type("Hostile", (base,), {**attributes, **methods, "__slots__": ()})


class NamelessClass(type):
    """A metaclass whose classes have no name, module or ancestors."""

    __name__ = __module__ = __mro__ = property(raises)


class Nameless(Exception, metaclass=NamelessClass):
    pass


class Unmeasured(str):
    """A text that cannot be measured, cut, joined or encoded."""

    __slots__ = ()
    __len__ = __getitem__ = __add__ = __radd__ = __format__ = encode = raises


class Unmeasurable(Exception):
    def __str__(self):
        return Unmeasured("text")


class NoNotes(Exception):
    __notes__ = 5


class HostileGroup(ExceptionGroup):
    exceptions = message = property(raises)
    split = subgroup = derive = raises


class NoNumber(float):
    """A number that cannot be compared, or reckoned with."""

    __slots__ = ()
    __lt__ = __le__ = __gt__ = __ge__ = __mul__ = __float__ = raises


class LaterThan(RetryLater):
    def __init__(self, *delay):
        Exception.__init__(self)
        if delay:
            [self.delay_seconds] = delay


class Open(CircuitOpenError):
    def __init__(self, *name):
        Exception.__init__(self)
        if name:
            [self.name] = name


class LaterAtNoTime(LaterThan):
    delay_seconds = property(raises)


class OpenForNoTime(Open):
    retry_after_seconds = property(raises)


class OpenWithoutAName(Open):
    name = property(raises)


HOSTILE = {
    "a class without a name": Nameless,
    "no text": broken(__str__=raises),
    "no representation": broken(__repr__=raises),
    "a text that cannot be measured": Unmeasurable,
    "no notes": broken("__notes__", add_note=raises),
    "notes that are none": NoNotes,
    "no chain": broken("__cause__", "__context__", "__suppress_context__"),
    "no traceback": broken("__traceback__", with_traceback=raises),
    "no class": broken("__class__"),
    "no dictionary": broken("__dict__", "args"),
    "no attributes": broken(__getattribute__=raises),
    "no attributes to set": broken(__setattr__=raises, __setstate__=raises, __reduce_ex__=raises),
    "no pause": broken("retry_after", "retry_after_seconds"),
    "no equal": broken(__eq__=raises, __hash__=raises, __bool__=raises, __format__=raises),
    "a group of one": lambda: HostileGroup("one", [OSError("down")]),
    "a group of two": lambda: HostileGroup("two", [OSError("down"), Nameless()]),
    "no delay": LaterThan,
    "a delay that raises": LaterAtNoTime,
    "a delay that is no number": lambda: LaterThan(NoNumber(1)),
    "no circuit": Open,
    "a circuit that raises": OpenWithoutAName,
    "a circuit whose time raises": OpenForNoTime,
    "a circuit that is no text": lambda: Open(5),
}

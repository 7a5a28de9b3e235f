"""What is public is documented: each argument and each attribute, in its own docstring or in one that it refers to."""

from __future__ import annotations

import ast
import inspect
import re
from enum import Enum

import attrs
import pytest

import titan_state
from titan_state import dashboard, emulator, errors, telemetry, testing
from titan_state.journal.base import Commit, Lease, Letter, Subscription, SubscriptionState
from titan_state.monitor.delivery.callbacks import Options
from titan_state.monitor.registrars import AnomalyRegistrar, ClearedRegistrar, ResultsRegistrar, TransitionRegistrar
from titan_state.monitor.survey import Known, Survey, Watched
from titan_state.service.accounts import Account, account_of, read_accounts
from titan_state.service.commands import command_handler
from titan_state.service.service import Service

FURTHER = (
    *(Commit, Lease, Letter, Subscription, SubscriptionState, Options, Known, Survey, Watched),
    *(AnomalyRegistrar, ClearedRegistrar, ResultsRegistrar, TransitionRegistrar),
    *(Account, Service, account_of, command_handler, read_accounts, dashboard.sources.Source),
    *(testing.ManualClock, testing.titan_service),
)
"""What the reference shows beside the public names of the package and its parts."""

MADE_BY_US = {"EventStream", "TransitionRegistrar", "ResultsRegistrar", "AnomalyRegistrar", "ClearedRegistrar"}
"""Classes that users get and never make: how they are made is nobody's business."""

REFERENCE = re.compile(r"\b[Ss]ee `(\w+)\.(\w+)`")


def everything():
    """Return what is public, by its name."""
    found = {}
    for module in (titan_state, dashboard, emulator, telemetry):
        found |= {name: getattr(module, name) for name in module.__all__}
    found |= {getattr(one, "__name__", "titan_service"): one for one in FURTHER}
    return {name: one for name, one in found.items() if inspect.isclass(one) or callable(one)}


PUBLIC = everything()
CLASSES = {name: one for name, one in PUBLIC.items() if inspect.isclass(one)}


def doc_of(thing):
    return inspect.cleandoc(thing.__doc__ or "")


def bare(member):
    """Return the function of a method, whatever it is wrapped in; None where there is none, as for a property."""
    function = getattr(member, "__func__", member)
    return function if inspect.isfunction(function) else None


def callables():
    """Hand out every public function and method, `__call__` included, with its name; one that is inherited once."""
    seen = set()
    for name, one in PUBLIC.items():
        if not inspect.isclass(one):
            yield name, one
            continue
        for owner in one.__mro__:
            for method, member in vars(owner).items() if owner.__module__.startswith("titan_state") else ():
                function = bare(member)
                is_public = not method.startswith("_") or method == "__call__"
                if function is not None and is_public and function not in seen:
                    seen.add(function)
                    yield f"{name}.{method}", function


def each_function():
    return [pytest.param(function, id=name) for name, function in callables()]


def is_made_by_users(name):
    """Return whether users make objects of a class: not of protocols, nor errors but those that callbacks raise."""
    cls = CLASSES[name]
    if issubclass(cls, errors.TitanStateError):
        return cls in (errors.TemporaryError, errors.PermanentError)
    return name not in MADE_BY_US and not getattr(cls, "_is_protocol", False)


def made_with(cls):
    """Return the names of what a class is made with; of an enumeration, those of its members."""
    if attrs.has(cls):
        return [field.alias or field.name for field in attrs.fields(cls) if field.init]
    if issubclass(cls, Enum):
        return list(cls.__members__)
    if issubclass(cls, dict):
        return list(cls.__annotations__)
    return arguments(cls.__init__) if inspect.isfunction(cls.__init__) else []


def documented(docs, argument):
    """Return whether a docstring has an entry for an argument, under `Args:` or `Attributes:`."""
    return re.search(rf"^ +\*{{0,2}}{re.escape(argument)}: \S", docs, re.MULTILINE) is not None


def arguments(function):
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


def referred(docs):
    """Return the docstrings of the methods to which one refers, and fail where it refers to nothing."""
    found = []
    for owner, method in REFERENCE.findall(docs):
        assert owner in CLASSES, f"`{owner}` is not public"
        found.append(doc_of(getattr(CLASSES[owner], method)))
    return "\n".join(found)


@pytest.mark.parametrize("function", each_function())
def test_each_argument_is_documented(function):
    """Each argument of what is public has an entry in its docstring, or in the one that it refers to by "See `X.y`"."""
    docs = doc_of(function)
    assert docs, "there is no docstring"
    told = f"{docs}\n{referred(docs)}"
    assert [name for name in arguments(function) if not documented(told, name)] == []


@pytest.mark.parametrize("name", [name for name in CLASSES if is_made_by_users(name)])
def test_each_class_says_what_it_is_made_with(name):
    """What a class is made with has an entry, in its docstring, in that of `__init__`, or in one of a base it names."""
    cls = CLASSES[name]
    docs = doc_of(cls)
    makers = [doc_of(vars(base)["__init__"]) for base in cls.__mro__ if "__init__" in vars(base)]
    named = [doc_of(CLASSES[base]) for base in re.findall(r"beside those of `(\w+)`", docs)]
    told = "\n".join((docs, *makers, *named))
    assert docs
    assert [one for one in made_with(cls) if not documented(told, one)] == []


ERRORS = [one for one in CLASSES.values() if issubclass(one, errors.TitanStateError)]


@pytest.mark.parametrize("error", ERRORS)
def test_each_error_says_what_it_carries(error):
    """Each attribute that the making of an error sets is documented, by its class or by a base of it."""
    source = "\n".join(inspect.getsource(base) for base in error.__mro__ if issubclass(base, errors.TitanStateError))
    told = "\n".join(doc_of(base) for base in error.__mro__ if issubclass(base, errors.TitanStateError))
    carried = set(re.findall(r"self\.([a-z]\w*)(?:: [^=\n]+)? = ", source))
    assert {name for name in carried if not documented(told, name)} == set()


@pytest.mark.parametrize("function", each_function())
def test_each_public_error_that_is_raised_is_documented(function):
    """What a public function raises in its own body has an entry under `Raises:`, or a base of it has."""
    own = doc_of(function)
    docs = f"{own}\n{referred(own)}"
    names = re.findall(r"^\s+raise (\w+Error)\(", inspect.getsource(function), re.MULTILINE)
    for name in set(names) & {error.__name__ for error in ERRORS}:
        bases = [base.__name__ for base in getattr(errors, name).__mro__]
        assert any(documented(docs, base) for base in bases), name


@pytest.mark.parametrize("thing", [*each_function(), *(pytest.param(one, id=name) for name, one in CLASSES.items())])
def test_examples_are_python(thing):
    """Each example in a public docstring can be compiled, as a part of a program that awaits."""
    for example in re.findall(r"^( *)```python\n(.*?)^\1```$", doc_of(thing), re.MULTILINE | re.DOTALL):
        compile(inspect.cleandoc("\n" + example[1]), "docstring", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

"""The public face explains itself: docstrings with true examples, and types everywhere."""

import doctest
import importlib
import importlib.resources
import importlib.util
import inspect
import pkgutil
import re
import typing
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import headrace as hr
import pytest

# What is imported for type checkers only stands for what it is called.
FRAME = SimpleNamespace(DataFrame=object)
FORWARD = {"pandas": FRAME, "polars": FRAME, "LoaderDataset": object}
TORCH = importlib.util.find_spec("torch") is not None


def modules() -> list[str]:
    """Return the names of the package's modules in Python."""
    found = pkgutil.walk_packages(hr.__path__, "headrace.")
    names = ["headrace", *(module.name for module in found)]
    return [name for name in names if name.rpartition(".")[2] != "_native"]


# Where users find names; other modules are where they are defined.
PUBLIC_MODULES = ["headrace", "headrace.errors", "headrace.torch"]


def members(owner: type) -> Iterator[tuple[str, object]]:
    """Return the public members of a class, its magic methods, and what it is made of."""
    parts = [base for base in owner.__bases__ if base.__module__.startswith("headrace.")]
    for name, value in [item for part in (owner, *parts) for item in vars(part).items()]:
        if name.startswith("__") and inspect.isfunction(value) and value.__doc__:
            yield name, value
        if not name.startswith("_"):
            yield name, value


def function(member: object) -> Callable[..., object] | None:
    if isinstance(member, property):
        return member.fget
    if isinstance(member, staticmethod | classmethod):
        return member.__func__
    return member if inspect.isfunction(member) else None


def public() -> dict[str, object]:
    """Return everything public by its name, once, where it is defined."""
    found: dict[str, object] = {}
    for module_name in PUBLIC_MODULES:
        if module_name == "headrace.torch" and not TORCH:
            continue
        module = importlib.import_module(module_name)
        for name in getattr(module, "__all__", []):
            value = getattr(module, name)
            if not (inspect.isclass(value) or inspect.isfunction(value)):
                continue
            full = f"{value.__module__}.{value.__qualname__}"
            found[full] = value
            if inspect.isclass(value):
                found |= {f"{full}.{name}": one for name, one in members(value)}
                for base in value.__bases__:  # part of a class in another module
                    if base.__module__.startswith("headrace") and value is hr.Dataset:
                        part = f"{base.__module__}.{base.__qualname__}"
                        found |= {f"{part}.{name}": one for name, one in members(base)}
    return found


PUBLIC = public()
FUNCTIONS = {name: f for name, one in PUBLIC.items() if (f := function(one))}


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings_are_true(name: str) -> None:
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS, verbose=False)
    assert failed == 0


def test_some_examples_are_run() -> None:
    runs = [
        example
        for name in modules()
        for test in doctest.DocTestFinder().find(importlib.import_module(name))
        for example in test.examples
        if not example.options.get(doctest.SKIP)
    ]
    assert runs


@pytest.mark.parametrize("name", modules())
def test_modules_have_docstrings_and_say_what_is_public(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    if "._" in name:
        return
    assert isinstance(module.__all__, list)  # adapters may have nothing to offer
    for exported in module.__all__:
        assert hasattr(module, exported), exported


def test_the_package_offers_what_it_promises() -> None:
    promised = {"open", "Dataset", "Loader", "HeadraceError", "errors", "fill", "pad"}
    assert promised <= set(hr.__all__)
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", hr.__version__)
    assert all(not name.startswith("_") or name == "__version__" for name in hr.__all__)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_have_docstrings(name: str) -> None:
    one = PUBLIC[name]
    if not (inspect.isclass(one) or function(one)):
        return  # a class attribute: its class tells of it
    text = inspect.cleandoc(one.__doc__ or "")
    assert text
    summary = text.splitlines()[0]
    assert summary.endswith("."), summary
    assert not summary.startswith(name.rpartition(".")[2] + "("), "a generated docstring"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_callables_are_typed_throughout(name: str) -> None:
    called = FUNCTIONS[name]
    namespace = {**vars(importlib.import_module(called.__module__)), **FORWARD}
    hints = typing.get_type_hints(called, globalns=namespace)
    parameters = list(inspect.signature(called).parameters.values())
    if "." in called.__qualname__:
        parameters = parameters[1:]  # self
    assert "return" in hints
    assert [p.name for p in parameters if p.name not in hints] == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstrings_tell_of_every_parameter_and_no_other(name: str) -> None:
    called = FUNCTIONS[name]
    text = inspect.getdoc(called) or ""
    if name.rpartition(".")[2].startswith("__") or re.search(r"\bas `[\w.]+`", text):
        return  # Python's own meaning, or another docstring tells of them
    parameters = list(inspect.signature(called).parameters)
    if "." in called.__qualname__:
        parameters = parameters[1:]
    assert documented(text) == parameters


def documented(text: str) -> list[str]:
    """Return the parameters in a numpydoc docstring, in their order."""
    section = re.search(
        r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", text, re.M | re.S
    )
    if not section:
        return []
    lines = re.findall(r"^(\*{0,2}\w[\w, ]*?) ?:", section[1], re.M)
    return [name.lstrip("*") for line in lines for name in re.split(r",\s*", line)]


def test_policies_tell_of_every_field() -> None:
    for policy in (hr.fill, hr.pad):
        fields = list(policy.__dataclass_fields__)
        assert documented(inspect.getdoc(policy)) == fields
        assert set(typing.get_type_hints(policy)) == set(fields)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors_that_docstrings_name_exist(name: str) -> None:
    text = inspect.getdoc(FUNCTIONS[name]) or ""
    section = re.search(r"^Raises\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", text, re.M | re.S)
    for line in re.findall(r"^\w.*$", section[1], re.M) if section else []:
        for kind in re.split(r",\s*", line):
            assert kind in hr.errors.__all__, kind


def test_the_package_says_that_it_is_typed() -> None:
    (folder,) = hr.__path__
    assert (importlib.resources.files("headrace") / "py.typed").is_file(), folder

"""Names are unique, found lazily, and near misses are named."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

import zoo
from tests.helpers import SHIPPED_VARIANTS
from zoo import registry
from zoo.errors import UnknownNameError, ZooError
from zoo.registered import Variant, WithConfig
from zoo.registry import (
    METRICS,
    OBJECTIVES,
    VARIANTS,
    Registry,
)
from zoo.schema.base import DatasetConfig, Section, VariantConfig
from zoo.schema.metric import Metric

REGISTRIES: list[Registry[Any]] = [found for found in vars(registry).values() if isinstance(found, Registry)]
every_registry = pytest.mark.parametrize("axis", REGISTRIES, ids=lambda axis: axis.kind.replace(" ", "-"))

SHIPPED = [
    (axis, file.stem)
    for axis in REGISTRIES
    for file in sorted((Path(zoo.__file__).parent / axis.package.removeprefix("zoo.")).glob("[!_]*.py"))
]
every_file = pytest.mark.parametrize(
    ("axis", "name"), SHIPPED, ids=[f"{axis.kind}-{name}".replace(" ", "-") for axis, name in SHIPPED]
)

PAPERS = {"variant", "objective", "optimizer"}
"""The axes whose names come from a paper; networks and datasets may have one."""


class Mine(VariantConfig):
    """My variant."""

    variant: Literal["mine"] = "mine"


class NotMine(VariantConfig):
    """My variant, called like one of the zoo's."""

    variant: Literal["ae"] = "ae"


def built(config: Any, shape: Any) -> None:
    """My own builder."""


def test_every_registry_is_an_axis() -> None:
    assert {axis for axis, _ in SHIPPED} == set(REGISTRIES)


def test_the_variants_of_the_zoo_are_listed() -> None:
    assert {"ae", "linear_vae", "conv_vae", "bn_vae"} <= set(zoo.list_variants())


@every_file
def test_every_file_registers_its_own_name(axis: Registry[Any], name: str) -> None:
    registered = axis.get(name)
    assert registered.name == name
    assert registered.summary
    assert registered.paper or axis.kind not in PAPERS
    assert registered.build.__module__ == f"{axis.package}.{name}"
    if isinstance(registered, WithConfig):
        assert registered.config.model_fields[axis.tag].default == name
        assert registered.config.__module__ == f"{axis.package}.{name}"


@every_file
def test_a_summary_is_one_line_that_stands_alone(axis: Registry[Any], name: str) -> None:
    summary = axis.get(name).summary
    assert "\n" not in summary
    assert not summary.endswith(".")
    assert summary[0].isupper() or not summary[0].isalpha()
    assert len(summary) <= 120


@every_registry
def test_a_package_registers_its_files_and_nothing_else(axis: Registry[Any]) -> None:
    files = [name for of, name in SHIPPED if of is axis]
    shipped = [name for name, item in axis.items().items() if item.build.__module__.startswith(f"{axis.package}.")]
    assert shipped == files
    assert set(files) <= set(axis.names())
    assert axis.names() == sorted(axis.names())


@pytest.mark.parametrize("name", SHIPPED_VARIANTS)
def test_what_a_variant_states_for_tests_is_a_model_section(name: str) -> None:
    variant = VARIANTS.get(name)
    assert isinstance(variant, Variant)
    assert variant.tiny
    assert variant.objective in OBJECTIVES.names()
    assert zoo.create_model(name, image_shape=(1, 28, 28), **variant.tiny).parameter_count < 100_000


@pytest.mark.parametrize("name", METRICS.names())
def test_a_metric_is_called_as_nothing_else(name: str) -> None:
    family = METRICS.get(name)
    assert family.metrics
    assert all(isinstance(metric, Metric) for metric in family.metrics)
    others = {metric.name for other in METRICS.items().values() if other is not family for metric in other.metrics}
    assert not others & {metric.name for metric in family.metrics}


def test_a_duplicate_is_an_error_even_before_the_shipped_one_is_imported() -> None:
    fresh: Registry[Variant] = Registry("variant", "zoo.variants", "variant")
    with pytest.raises(ZooError, match="'ae' is already registered"):
        fresh.add(Variant(name="ae", build=built, config=NotMine))


def test_a_second_registration_of_ones_own_name_is_an_error() -> None:
    fresh: Registry[Variant] = Registry("variant", "zoo.variants", "variant")
    fresh.add(Variant(name="mine", build=built, config=Mine))
    assert fresh.get("mine").summary == "My variant"
    with pytest.raises(ZooError, match="already registered"):
        fresh.add(Variant(name="mine", build=built, config=Mine))


@every_registry
def test_every_axis_refuses_a_name_that_is_taken(axis: Registry[Any]) -> None:
    fresh: Registry[Any] = Registry(axis.kind, axis.package, axis.tag)
    with pytest.raises(ZooError, match=f"the {axis.kind} '.*' is already registered; choose another name"):
        fresh.add(registry.Registered(name=fresh.names()[0], build=built))


def test_the_decorators_refuse_what_is_taken() -> None:
    with pytest.raises(ZooError, match="the variant 'ae' is already registered; choose another name"):
        zoo.register_variant(config=NotMine)(built)
    for family, metric in (("elbo", "of_my_own"), ("of_my_own", "mse"), ("mse", "of_my_own"), ("of_my_own", "elbo")):
        mine = Metric(metric, "Mine", "", "My own.", "here")
        with pytest.raises(ZooError, match=f"the metrics '{family}', or some of them, are already registered"):
            zoo.register_metrics(family, mine)(lambda context: {})
    assert "of_my_own" not in METRICS.names()


class Nameless(Section):
    """Settings without a name."""


REGISTERING: list[tuple[str, Callable[[], Any]]] = [
    ("variant", lambda: zoo.register_variant(config=Nameless)(built)),
    ("network", lambda: zoo.register_network(config=Nameless)(built)),
    ("objective", lambda: zoo.register_objective(config=Nameless)(built)),
    ("distance", lambda: zoo.register_distance(config=Nameless)(built)),
    ("dataset", lambda: zoo.register_dataset(config=Nameless)(built)),
    ("optimizer", lambda: zoo.register_optimizer(config=Nameless, state=())(built)),
    ("augmentation", lambda: zoo.register_augmentation(config=Nameless)(built)),
    ("schedule", lambda: zoo.register_schedule(Nameless)),
]


@pytest.mark.parametrize(("kind", "register"), REGISTERING, ids=[kind for kind, _ in REGISTERING])
def test_a_config_without_a_name_is_refused_with_the_field_that_it_needs(kind: str, register: Any) -> None:
    tag = "variant" if kind == "variant" else "name"
    expected = (
        f'Nameless does not say what the {kind} is called; add the field {tag}: Literal."my_{kind}". = "my_{kind}"'
    )
    with pytest.raises(ZooError, match=expected):
        register()


class AnyName(DatasetConfig):
    """Settings that any name would fit."""

    name: str = "mine"


def test_a_config_that_any_name_would_fit_is_refused() -> None:
    with pytest.raises(ZooError, match="AnyName does not say what the dataset is called; add the field name: Literal"):
        zoo.register_dataset(config=AnyName)(built)


def test_an_unknown_name_shows_the_close_matches() -> None:
    with pytest.raises(UnknownNameError, match="unknown variant 'conv_vea'; did you mean 'conv_vae'"):
        VARIANTS.get("conv_vea")


@every_registry
@pytest.mark.parametrize("name", ["_idx", "__init__", "os", "..ae", "ae.py", "_common", "_base"])
def test_a_name_never_reaches_another_module(axis: Registry[Any], name: str) -> None:
    with pytest.raises(UnknownNameError):
        axis.get(name)


def test_listing_imports_neither_torch_nor_pydantic_and_takes_under_0_3_seconds() -> None:
    code = (
        "import sys, time; t = time.perf_counter(); import zoo; models = zoo.list_models(); zoo.list_variants(); "
        "assert zoo.list_models(variant='vae', data='mnist'); "
        "s = time.perf_counter() - t; assert models; "
        "assert not {'torch', 'pydantic', 'numpy', 'matplotlib'} & set(sys.modules), sorted(sys.modules); print(s)"
    )
    seconds = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(3)]
    assert min(seconds) < 0.3


def test_the_public_names_are_the_same_for_type_checkers_and_at_run_time() -> None:
    tree = ast.parse(Path(str(zoo.__file__)).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    checked = {alias.name: node.module for node in imports for alias in node.names}
    assert checked == zoo._HOME | dict.fromkeys(zoo._PACKAGES, "zoo")
    assert set(zoo.__all__) == set(checked)

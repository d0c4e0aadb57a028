"""Names are unique, found lazily, and near misses are named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import zoo
from zoo.errors import UnknownNameError, ZooError
from zoo.registry import DATASETS, OBJECTIVES, VARIANTS, Registry
from zoo.schema.base import VariantConfig

SHIPPED = [
    (registry, file.stem)
    for registry in (VARIANTS, OBJECTIVES, DATASETS)
    for file in sorted((Path(zoo.__file__).parent / registry.package.removeprefix("zoo.")).glob("[!_]*.py"))
]


def test_the_variants_of_the_zoo_are_listed() -> None:
    assert {"ae", "linear_vae", "conv_vae", "bn_vae"} <= set(zoo.list_variants())


@pytest.mark.parametrize(("registry", "name"), SHIPPED, ids=[f"{r.kind}-{n}" for r, n in SHIPPED])
def test_every_file_registers_its_own_name(registry: Registry, name: str) -> None:
    registered = registry.get(name)
    assert registered.name == name
    assert registered.summary
    assert registered.paper or registry is DATASETS
    assert registered.build.__module__ == f"{registry.package}.{name}"
    assert registered.config.model_fields[registry.tag].default == name


def test_a_duplicate_is_an_error_even_before_the_shipped_one_is_imported() -> None:
    fresh: Registry[VariantConfig] = Registry("variant", "variant", "zoo.variants")
    with pytest.raises(ZooError, match="'ae' is already registered"):
        fresh.register("ae", config=VariantConfig, summary="mine")(lambda config, shape: None)


def test_a_second_registration_of_ones_own_name_is_an_error() -> None:
    fresh: Registry[VariantConfig] = Registry("variant", "variant", "zoo.variants")
    fresh.register("mine", config=VariantConfig, summary="mine")(lambda config, shape: None)
    with pytest.raises(ZooError, match="already registered"):
        fresh.register("mine", config=VariantConfig, summary="again")(lambda config, shape: None)


def test_an_unknown_name_shows_the_close_matches() -> None:
    with pytest.raises(UnknownNameError, match="unknown variant 'conv_vea'; did you mean 'conv_vae'"):
        VARIANTS.get("conv_vea")


@pytest.mark.parametrize("name", ["_idx", "__init__", "os", "..ae", "ae.py", "_common"])
def test_a_name_never_reaches_another_module(name: str) -> None:
    for registry in (VARIANTS, OBJECTIVES, DATASETS):
        with pytest.raises(UnknownNameError):
            registry.get(name)


def test_listing_imports_neither_torch_nor_pydantic_and_takes_under_0_3_seconds() -> None:
    code = (
        "import sys, time; t = time.perf_counter(); import zoo; models = zoo.list_models(); zoo.list_variants(); "
        "s = time.perf_counter() - t; assert models; "
        "assert not {'torch', 'pydantic', 'numpy', 'matplotlib'} & set(sys.modules), sorted(sys.modules); print(s)"
    )
    seconds = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(3)]
    assert min(seconds) < 0.3

"""Which variants the costly tests take in every run."""

from __future__ import annotations

from tests.helpers import SHIPPED_VARIANTS, SLOW_VARIANTS, costly_variants, representatives, traits


def test_every_trait_of_a_shipped_variant_is_tested_in_every_run() -> None:
    quick = set(SHIPPED_VARIANTS) - SLOW_VARIANTS
    assert set().union(*map(traits, quick)) == set().union(*map(traits, SHIPPED_VARIANTS))
    assert len(quick) <= 6, "costly tests would take too long; ask whether a trait is one that other code can see"


def test_a_variant_without_a_trait_of_its_own_is_slow_and_one_with_it_is_not() -> None:
    known = {"ae": {"a"}, "bn_vae": {"b", "c"}, "conv_vae": {"b"}}
    assert representatives(known) == {"ae", "bn_vae"}
    assert representatives(known | {"new": {"b"}}) == {"ae", "bn_vae"}
    assert representatives(known | {"new": {"b", "d"}}) == {"ae", "bn_vae", "new"}


def test_what_a_user_registers_is_tested_in_every_run() -> None:
    slow = [p.values[0] for p in costly_variants([*SHIPPED_VARIANTS, "of_my_own"]) if p.marks]
    assert set(slow) == SLOW_VARIANTS

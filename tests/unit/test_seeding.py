"""Seeds derived for different purposes and numbers differ."""

import hashlib

from weight_importance.runtime.seeding import derive


def test_a_seed_is_the_first_63_bits_of_a_hash_of_purpose_and_numbers():
    assert derive("batch order", 1, 23) == int(hashlib.sha256(b"batch order/1/23").hexdigest()[:16], 16) // 2


def test_digits_of_neighbouring_numbers_are_not_joined():
    assert len({derive("batch order", 1, 23), derive("batch order", 12, 3), derive("batch order", 123)}) == 3

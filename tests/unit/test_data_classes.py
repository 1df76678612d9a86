"""Every column says what it holds of a person."""

from __future__ import annotations

from collections import Counter

from domain.data_classes import COLUMNS, MEANINGS, DataClass, classes_of
from services.tables import METADATA


def test_every_column_declares_its_class() -> None:
    """Once each; a table or a column that is gone is named no more."""
    declared = [
        f"{table}.{name}" for table, parts in COLUMNS.items() for names in parts.values() for name in names.split()
    ]
    there = [f"{table.name}.{column.name}" for table in METADATA.sorted_tables for column in table.columns]
    assert [name for name, times in Counter(declared).items() if times > 1] == []
    assert sorted(declared) == sorted(there)


def test_each_class_is_explained() -> None:
    """In the documentation, which is made of these words."""
    assert set(MEANINGS) == set(DataClass)


def test_what_is_sealed_is_personal() -> None:
    """A column that holds sealed data is of a class that an erasure reaches."""
    reached = {DataClass.CONTACT, DataClass.ACCOUNTING, DataClass.TEXT}
    sealed = {
        name: data_class
        for table in COLUMNS
        for name, data_class in classes_of(table).items()
        if name.endswith("_sealed")
    }
    assert len(sealed) >= 4 and set(sealed.values()) <= reached

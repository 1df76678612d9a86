"""Rows that one statement reads and one statement writes, as JSON: cheaper than the ORM's unit of work.

The models stay the ORM's; only how their rows travel differs. PostgreSQL turns JSON into rows of a table and back by
the table's own columns (https://www.postgresql.org/docs/current/functions-json.html, `json_populate_recordset`), so
that a column which this version of the code does not know is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple, TypeVar

from pydantic_core import from_json, to_json
from sqlalchemy import Connection, DateTime, inspect
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

Row = TypeVar("Row", bound=SQLModel)
Values = dict[str, Any]


OF_THE_ORM = 1  # entries of its own that the ORM keeps in a row's `__dict__`


class _Column(NamedTuple):
    name: str
    attribute: str
    is_time: bool


@dataclass(frozen=True)
class _Shape:
    """A model's table: its columns, those of its key, and what a new row has that says nothing else.

    `generated` columns are filled by the database.
    """

    table: str
    columns: Sequence[_Column]
    key: Sequence[str]
    generated: frozenset[str]
    defaults: Mapping[str, Any]
    factories: Mapping[str, Callable[[], Any]]
    new_instance: Any


@cache
def _shape_of(model: type[SQLModel]) -> _Shape:
    mapper = inspect(model)
    columns = [
        _Column(attribute.columns[0].name, attribute.key, isinstance(attribute.columns[0].type, DateTime))
        for attribute in mapper.column_attrs
    ]
    generated = mapper.local_table.autoincrement_column
    fields = model.model_fields
    made = {name: field.default_factory for name, field in fields.items() if field.default_factory is not None}
    return _Shape(
        table=mapper.local_table.name,
        columns=columns,
        key=[column.name for column in mapper.primary_key],
        generated=frozenset([generated.name] if generated is not None else []),
        defaults={name: field.default for name, field in fields.items() if not (field.is_required() or name in made)},
        factories=made,  # type: ignore[arg-type]  # none of them takes the other values
        new_instance=mapper.class_manager.new_instance,
    )


def row_of(model: type[Row], found: Values) -> Row:
    """A row of `model` from the JSON of its columns, without the checks and defaults of its constructor."""
    shape = _shape_of(model)
    row: Row = shape.new_instance()
    values = row.__dict__
    for name, attribute, is_time in shape.columns:
        value = found.get(name)
        values[attribute] = datetime.fromisoformat(value) if is_time and value is not None else value
    return row


def new_row(model: type[Row], **values: Any) -> Row:
    """A new row of `model` by the names of its fields, as its constructor makes it but without checking each value.

    The database checks them. Raises TypeError for a name that is no field, or a field without a value.
    """
    shape = _shape_of(model)
    row: Row = shape.new_instance()
    attributes = row.__dict__
    attributes.update(shape.defaults)
    attributes.update(values)
    for name, factory in shape.factories.items():
        if name not in values:
            attributes[name] = factory()
    if len(attributes) != len(shape.columns) + OF_THE_ORM:
        given = values.keys() - {column.attribute for column in shape.columns}
        raise TypeError(f"{model.__name__} has no field {sorted(given)}" if given else f"{model.__name__}: {values}")
    return row


def _values_of(row: SQLModel) -> Values:
    """By column name."""
    values = row.__dict__
    return {name: values.get(attribute) for name, attribute, _ in _shape_of(type(row)).columns}


def _changed(row: SQLModel, before: Values) -> set[str]:
    """The columns whose value is another than `before`."""
    return {
        name for name, attribute, _ in _shape_of(type(row)).columns if row.__dict__[attribute] != before[attribute]
    }


class Write(NamedTuple):
    """One statement, and its arguments."""

    sql: str
    arguments: tuple[str, ...]

    async def execute(self, connection: AsyncConnection) -> None:
        await connection.exec_driver_sql(self.sql, self.arguments)

    def execute_sync(self, connection: Connection) -> None:
        """For the hooks of an ORM session, which run in its own thread of control."""
        connection.exec_driver_sql(self.sql, self.arguments)


class _Part(NamedTuple):
    """What is written into one table: `changed` columns of rows that are there, or, if empty, new rows."""

    model: type[SQLModel]
    changed: tuple[str, ...] = ()


class Rows:
    """Rows that were read together, and new ones: whatever is changed in them is written together.

    `found` has, by table, the rows as JSON; a table without rows may be missing.
    """

    def __init__(self, found: Mapping[str, Sequence[Values] | None]) -> None:
        self._found = found
        self._known: dict[type[SQLModel], list[Any]] = {}
        self._as_read: list[tuple[SQLModel, Values]] = []
        self._new: dict[type[SQLModel], list[SQLModel]] = {}

    def of(self, model: type[Row]) -> list[Row]:
        """The rows of a table that was read, in the order of the statement, then those that were added."""
        known = self._known.get(model)
        if known is None:
            known = [row_of(model, values) for values in self._found.get(_shape_of(model).table) or ()]
            self._known[model] = known
            self._as_read += [(row, dict(row.__dict__)) for row in known]
        return known

    def add(self, row: SQLModel) -> None:
        """A new row."""
        self.of(type(row)).append(row)
        self._new.setdefault(type(row), []).append(row)

    def take_changes(self) -> Write | None:
        """The statement that writes all that was changed and added since the last call; None for nothing."""
        parts: dict[_Part, list[Values]] = {_Part(model): [*map(_values_of, new)] for model, new in self._new.items()}
        changed: dict[type[SQLModel], tuple[set[str], list[Values]]] = {}
        for at, (row, before) in enumerate(self._as_read):
            if row.__dict__ != before:
                names, rows = changed.setdefault(type(row), (set(), []))
                names |= _changed(row, before)
                rows.append(_values_of(row))
                self._as_read[at] = row, dict(row.__dict__)
        for model, (names, rows) in changed.items():
            only = {*names, *_shape_of(model).key}
            parts[_Part(model, tuple(sorted(names)))] = [{name: row[name] for name in only} for row in rows]
        self._as_read += [(row, dict(row.__dict__)) for new in self._new.values() for row in new]
        self._new = {}
        return _write(parts) if parts else None


def write_new(rows: Iterable[SQLModel]) -> Write:
    """One statement that writes new rows of several tables."""
    by_model: dict[_Part, list[Values]] = {}
    for row in rows:
        by_model.setdefault(_Part(type(row)), []).append(_values_of(row))
    return _write(by_model)


def _write(parts: Mapping[_Part, list[Values]]) -> Write:
    return Write(_statement(tuple(parts)), tuple(to_json(rows).decode() for rows in parts.values()))


@cache
def _statement(parts: tuple[_Part, ...]) -> str:
    """One CTE for each part. Foreign keys are checked at the end of the statement, so their order does not matter."""
    ctes = [f"part{number} AS ({_part(part, f'${number}')})" for number, part in enumerate(parts, start=1)]
    return f"WITH {', '.join(ctes)} SELECT"


def _part(part: _Part, argument: str) -> str:
    shape = _shape_of(part.model)
    rows = f"json_populate_recordset(NULL::{shape.table}, CAST({argument} AS json))"
    if not part.changed:
        columns = ", ".join(f'"{column.name}"' for column in shape.columns if column.name not in shape.generated)
        return f"INSERT INTO {shape.table} ({columns}) SELECT {columns} FROM {rows}"  # noqa: S608
    values = ", ".join(f'"{name}" = new."{name}"' for name in part.changed)
    same = " AND ".join(f'{shape.table}."{name}" = new."{name}"' for name in shape.key)
    return f"UPDATE {shape.table} SET {values} FROM {rows} AS new WHERE {same}"  # noqa: S608  # names of our tables


def parsed(found: str | bytes) -> Any:
    """The JSON that a statement has answered."""
    return from_json(found)

"""The keys of protected fields: the operator's, or on one machine one that is made once."""

import time

from sqlalchemy import Engine

from domain.errors import ConfigurationError
from engine.clients.secret import kept_secret
from engine.settings import Settings
from storage import protection
from storage.clock import iso
from storage.sealed import KEY_BYTES, NO_KEYS, SETTING, FieldKeys, parse_keys

FILE = "field.key"
LOCAL = "local"
OFF = "off"
_EXPECTED = "id:base64,…, or off"


def field_keys(settings: Settings, *, make: bool = True) -> FieldKeys:
    """Those of the setting, then the data folder's own: what it has sealed stays readable.

    PostgreSQL is made for several machines, which need the same keys: without the setting nothing
    is sealed there. ``make``: false: no key is made. Raises ConfigurationError for keys or a file
    that cannot be used.
    """
    told = settings.field_keys.get_secret_value().strip() if settings.field_keys else ""
    if told == OFF:
        return NO_KEYS
    file = settings.data_dir.expanduser() / FILE
    alone = settings.database_dsn().startswith("sqlite")
    keys = parse_keys(told) if told else NO_KEYS
    if not (told or alone) or not (file.exists() or (make and not told)):
        return keys
    try:
        own = bytes.fromhex(kept_secret(file))
    except (OSError, ValueError) as error:
        raise ConfigurationError(SETTING, f"{file} cannot be used ({error})", _EXPECTED) from error
    if len(own) != KEY_BYTES:
        raise ConfigurationError(SETTING, f"{file} holds no key", _EXPECTED)
    return keys.also(LOCAL, own)


def adopt(engine: Engine, keys: FieldKeys) -> None:
    """Note which keys are in use. Raises ConfigurationError where rows are sealed with one that is
    not there: better no service than one that knows nobody's name."""
    reading = engine.execution_options(kefu_write=False)
    with reading.connect() as connection:
        if protection.is_adopted(connection, keys):
            return
    with engine.begin() as connection:
        missing = protection.adopt(connection, keys, at=iso(time.time()))
    if missing:
        raise ConfigurationError(
            SETTING,
            f"rows are sealed with {', '.join(map(repr, missing))}, which is not there",
            f"that key, or {FILE} of the same data folder",
        )

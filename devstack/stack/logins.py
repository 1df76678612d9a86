"""The logins of the processes: each is a member of its group role, which `services/privileges.py` describes.

Their passwords are made of the owner's, so that whoever knows a stack's database knows how each process gets there.
Production has passwords of its own: `ops/temporal/databases.sql`.
"""

import hashlib
import hmac
from urllib.parse import unquote, urlsplit

PROCESSES = ("api", "worker", "relay", "reporting")
PREFIX = "ordersaga_"


def login_of(process: str) -> str:
    """The name under which a process logs in; a second one would let its password be replaced while it runs."""
    return f"{PREFIX}{process}_1"


def url_of(process: str, owners: str) -> str:
    """The database of the owner's URL, as a process sees it."""
    url = urlsplit(owners)
    place = url.netloc.rpartition("@")[2]
    secret = _password(process, unquote(url.password or ""))
    return url._replace(netloc=f"{login_of(process)}:{secret}@{place}").geturl()


def statement(owners_password: str) -> str:
    """What makes the roles and logins that are missing. For the server's own administrator."""
    lines = [_MAKE.format(role=f"{PREFIX}{one}", login=login_of(one), password=_password(one, owners_password))
             for one in PROCESSES]  # fmt: skip
    return "\n".join(lines)


_MAKE = """
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
            CREATE ROLE {role} NOLOGIN;
        END IF;
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{login}') THEN
            CREATE ROLE {login} LOGIN IN ROLE {role} PASSWORD '{password}';
        END IF;
    END $$;
"""


def _password(process: str, owners: str) -> str:
    return hmac.new(owners.encode(), process.encode(), hashlib.sha256).hexdigest()[:40]

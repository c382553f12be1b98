"""The endpoints of secrets by URI, with the scopes that each asks for and the purposes for which a policy decision point is asked: the
catalogue of the origin's page, once.
"""

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True)
class Endpoint:
    """One of them, about the secret `uri`; `needs` has a scope and a purpose, or several."""

    what: str
    query: str
    body: dict | None
    needs: tuple
    status: int = 200

    @property
    def route(self):
        return f"/api/secrets{self.what.partition(' ')[2]}{self.query}"

    @property
    def method(self):
        return self.what.partition(" ")[0]


def endpoints(uri):
    at, other = quote(uri), f"{uri}-2"
    read, write, delete = ("read", "read"), ("write", "write"), ("delete", "delete")
    metadata, destroy = ("read_metadata", "read_metadata"), ("destroy", "destroy_versions")
    return [
        Endpoint("POST", "", {"uri": f"{uri}#token", "value": "two"}, (write,)),
        Endpoint("GET", f"?uri={at}", None, (("read", None),), 501),
        Endpoint("GET /value", f"?uri={at}", None, (read,)),
        Endpoint("DELETE", f"?uri={at}", None, (delete,)),
        Endpoint("DELETE", f"?uri={at}&destroy=true", None, (destroy,)),
        Endpoint("POST /rotate", "", {"uri": uri, "value": {"token": "two"}}, (("rotate", "rotate"),)),
        Endpoint("GET /metadata", f"?prefix={at}", None, (metadata,)),
        Endpoint("GET /keys", f"?uri={at}", None, (metadata,)),
        Endpoint("GET /metadata/detail", f"?uri={at}", None, (metadata,)),
        Endpoint("GET /versions", f"?uri={at}", None, (metadata,)),
        Endpoint("GET /search", f"?q=api&prefix={at}", None, (metadata,)),
        Endpoint("POST /undelete", "", {"uri": uri, "versions": [1]}, (("delete", "undelete"),)),
        Endpoint("POST /destroy-versions", "", {"uri": uri, "versions": [1]}, (destroy,)),
        Endpoint("POST /metadata/owner", "", {"uri": uri, "owner": "team:shop"}, (("set_owner", "owner_update"),)),
        Endpoint("POST /copy", "", {"fromUri": uri, "toUri": other, "overwrite": True}, (read, write)),
        # Whoever may write could hide the value by another one, so that there is no scope for leaving.
        Endpoint("POST /move", "", {"fromUri": uri, "toUri": other, "overwrite": True}, (read, write, (None, "delete"))),
    ]


def operations(uri):
    """Those that go into a bulk, each with its scope and its purpose."""
    return [
        ({"op": "set", "uri": uri, "value": {}}, "write", "write"),
        ({"op": "rotate", "uri": uri, "value": {}}, "rotate", "rotate"),
        ({"op": "delete", "uri": uri}, "delete", "delete"),
        ({"op": "undelete", "uri": uri, "versions": [1]}, "delete", "undelete"),
        ({"op": "destroy", "uri": uri, "versions": [1]}, "destroy", "destroy_versions"),
        ({"op": "destroy", "uri": uri}, "destroy", "destroy_versions"),
    ]

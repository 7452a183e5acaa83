"""The REST interface of amoCRM (Kommo abroad), version 4: pages of HAL documents.

www.amocrm.ru/developers, developers.kommo.com: `page` and `limit` (at most 250), `_embedded.<name>[]`,
`_links.next`; an empty page is 204 without a body; times are Unix seconds; seven requests a second. A
long-lived token goes as a bearer. Filters are not open to every account: one that is not obeyed gives more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import SecretStr

from connectors._api import Answer, Api
from connectors.errors import ApiError, IncompleteError, PermanentError

LIMIT = 250
# Ids in one address: every one takes some thirty characters of it.
_IDS = 100
# A list that goes on for ever is a mistake of the server.
_LONGEST = 100_000


class Account:
    """One account of amoCRM."""

    def __init__(self, name: str, base_url: str, token: SecretStr) -> None:
        headers = {"Authorization": f"Bearer {token.get_secret_value()}", "Accept": "application/hal+json"}
        self.api = Api(
            name, base_url, per_second=6, headers=headers, secrets=[token], setting="token", judge=_judge
        )

    def pages(
        self, path: str, name: str, params: Mapping[str, Any] | None = None, *, refused: str | None = None
    ) -> Iterator[list[dict[str, Any]]]:
        """Yield the pages of a list. Raises ApiError.

        `refused` is what to do when the token may not read this list, which says nothing of the others.
        """
        for page in range(1, _LONGEST):
            query = {**(params or {}), "page": page, "limit": LIMIT}
            answer = self.api.get(path, query, accept=() if refused is None else (403,))
            if answer.status == 204:
                return
            if answer.status == 403:
                raise self.api.error(PermanentError, f"GET {path}: the token may not read this; {refused}")
            body = answer.json()
            try:
                records = body["_embedded"][name]
                following = body.get("_links", {}).get("next")
            except (AttributeError, KeyError, TypeError):
                raise self.api.error(PermanentError, f"GET {path}: the answer has no {name}") from None
            yield records
            if not following or not records:
                return
        raise self.api.error(IncompleteError, f"GET {path}: the list does not end")

    def records(
        self, path: str, name: str, params: Mapping[str, Any] | None = None, *, refused: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the records of a list, each once though rows may move from page to page. Raises ApiError."""
        seen: set[Any] = set()
        for page in self.pages(path, name, params, refused=refused):
            new = [record for record in page if record.get("id", record.get("uid")) not in seen]
            if not new:
                # A server that gives the same page for every number.
                return
            for record in new:
                seen.add(record.get("id", record.get("uid")))
                yield record

    def by_id(self, path: str, name: str, ids: list[int]) -> Iterator[dict[str, Any]]:
        """Yield the records of these ids that still exist. Raises ApiError."""
        for at in range(0, len(ids), _IDS):
            wanted = set(ids[at : at + _IDS])
            query = {f"filter[id][{n}]": id_ for n, id_ in enumerate(sorted(wanted))}
            answer = self.api.get(path, {**query, "page": 1, "limit": LIMIT})
            found = [] if answer.status == 204 else answer.json().get("_embedded", {}).get(name, [])
            for record in found:
                if record.get("id") in wanted:
                    wanted.discard(record["id"])
                    yield record
            # What an account without filters left out, and what was deleted.
            for id_ in sorted(wanted):
                answer = self.api.get(f"{path}/{id_}", accept=(404,))
                if answer.status == 200:
                    yield answer.json()


def _judge(answer: Answer) -> ApiError | None:
    if answer.status == 402:
        return PermanentError("HTTP 402, the account's subscription has ended")
    return None

"""Access tokens that live a day and are renewed by a refresh token that changes at every renewal.

The pair lives in a file of the clinic (`token_file`), because the environment cannot be written back: it is
read when first needed and replaced whole, mode 0600, each time the vendor hands out a new one. A refresh
token that was used is worth nothing any more, so the file is known to be writable before it is used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import SecretStr, model_validator

from connectors._api import Answer, Api
from connectors._chinese_reports import ReportOptions
from connectors.errors import AuthError, ConnectorError


class Pair(NamedTuple):
    """An access token and the refresh token that goes with it."""

    access: str
    refresh: str


# (api of the vendor's token address, its path, present refresh token) -> the vendor's answer.
Renewal = Callable[[Api, str, str], Answer]


class TokenOptions(ReportOptions):
    """How a source signs in: a `token` of the environment, or a `token_file` that is kept fresh.

    A fixed token of these vendors lives a day. With `token_file`, the application's `app_id` and `app_secret`
    renew the pair that the file holds, and the file is rewritten.
    """

    reach = frozenset({"base_url", "token_url", "token_file", "app_id"})
    # The setting that names the ad account.
    account_setting: ClassVar[str]

    base_url: str
    token_url: str
    token: SecretStr | None = None
    token_file: Path | None = None
    app_id: str | None = None
    app_secret: SecretStr | None = None

    @property
    def has_api(self) -> bool:
        """Whether the source is read from the API."""
        return self.token is not None or self.token_file is not None

    @property
    def token_setting(self) -> str:
        """The setting to mend when the vendor refuses."""
        return "token" if self.token_file is None else "token_file"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.token is not None and self.token_file is not None:
            raise ValueError("write `token` or `token_file`, not both")
        if self.has_api and getattr(self, self.account_setting) is None:
            raise ValueError(
                f"`{self.token_setting}` needs `{self.account_setting}`, the ad account that it reads"
            )
        if self.token_file is None:
            return self
        if self.app_id is None or self.app_secret is None:
            raise ValueError("`token_file` needs `app_id` and `app_secret`, with which it is renewed")
        read_pair(self.token_file)
        return self


class Tokens:
    """The access token of a source: a fixed one, or the one of its token file.

    An `Authorisation` of connectors._api: `headers(renew=True)` gets a new pair. Where the vendor wants the
    token in the query or the body, they take `access` at the moment of sending.
    """

    def __init__(self, source: TokenOptions, renewal: Renewal, *, header: str = "") -> None:
        """`header` names the HTTP header that carries the token, "" for none. Raises AuthError."""
        self._name = source.name
        self._source = source
        self._file = source.token_file
        self._renewal = renewal
        self._header = header
        self._refresh = ""
        self.access = "" if source.token is None else source.token.get_secret_value()
        if self._file is not None:
            try:
                self.access, self._refresh = read_pair(self._file)
            except ValueError as error:
                raise AuthError(f"{source.name}: {error}; mend `token_file` of the source") from None
        self._known = {self.access, self._refresh}

    def headers(self, *, renew: bool) -> Mapping[str, str]:
        """The headers that authorise a request. Raises ApiError when the token cannot be renewed."""
        if self._file is not None and (renew or not self.access):
            self._renew(self._file)
        return {self._header: self.access} if self._header else {}

    @property
    def authorisation(self) -> Tokens | None:
        """Itself where it can renew: a fixed token that was refused is not worth a second request."""
        return None if self._file is None else self

    @property
    def secrets(self) -> list[SecretStr]:
        """What is known before the first renewal, for the messages of an Api."""
        return [SecretStr(secret) for secret in self._known]

    def redact(self, text: str) -> str:
        """The text without any token, renewed ones included."""
        for secret in self._known - {""}:
            text = text.replace(secret, "***")
        return text

    def _renew(self, path: Path) -> None:
        scratch = path.with_name(f".{path.name}.new")
        try:
            handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise AuthError(
                f"{self._name}: the token is to be renewed, but {path} cannot be rewritten "
                f"({error.strerror}); let firstvisit write `token_file` and its folder"
            ) from None
        try:
            pair = self._asked_for()
            self._known |= {*pair}
            text = json.dumps({"access_token": pair.access, "refresh_token": pair.refresh}) + "\n"
            os.write(handle, text.encode())
            os.fsync(handle)
            scratch.replace(path)
        except ConnectorError:
            scratch.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
        self.access, self._refresh = pair

    def _asked_for(self) -> Pair:
        """A new pair from the vendor. Raises AuthError when it gives none."""
        parts = urlsplit(self._source.token_url)
        api = Api(
            self._name,
            f"{parts.scheme}://{parts.netloc}",
            per_second=1,
            secrets=[self._source.app_secret, SecretStr(self._refresh)],
            setting="token_file",
        )
        said = self._renewal(api, parts.path, self._refresh).json()
        code = said.get("code") if isinstance(said, dict) else None
        data = said.get("data") if code == 0 else None
        pair = pair_of(data, refresh=self._refresh) if isinstance(data, dict) else None
        if pair is None or not pair.access:
            raise api.error(
                AuthError,
                f"no new tokens were given (code {code}); authorise the application again and save the "
                "answer as `token_file` of the source",
            )
        return pair


def read_pair(path: Path) -> Pair:
    """The pair of a token file: our own, or the vendor's answer to the authorisation saved as it is.

    Raises ValueError that says what is wrong with the file, never what it holds.
    """
    try:
        said: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror})") from None
    except ValueError:
        raise ValueError(f'{path} is not JSON; write {{"access_token": …, "refresh_token": …}}') from None
    if isinstance(said, dict) and isinstance(said.get("data"), dict):
        said = said["data"]
    if not isinstance(said, dict):
        raise ValueError(f'{path} is no JSON object; write {{"access_token": …, "refresh_token": …}}')  # noqa: TRY004
    found = pair_of(said)
    if found is None:
        raise ValueError(f"{path} has no refresh_token; authorise the application again and save its answer")
    return found


def pair_of(said: Mapping[str, Any], *, refresh: str | None = None) -> Pair | None:
    """The pair in an answer, in either spelling; `refresh` stands in for a refresh token that is left out."""
    access = said.get("access_token") or said.get("accessToken")
    renewed = said.get("refresh_token") or said.get("refreshToken") or refresh
    if not isinstance(renewed, str) or not (access is None or isinstance(access, str)):
        return None
    return Pair(access or "", renewed)

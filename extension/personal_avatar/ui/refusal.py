"""What the page itself refuses, in words of the table, so that it speaks the user's language; and what failed on it."""

from __future__ import annotations

import logging

from personal_avatar.errors import AvatarError, Crashed, PageFailed
from personal_avatar.naming import described, named
from personal_avatar.ui.texts import text

LOG = logging.getLogger(__name__)


class Refusal(AvatarError):
    """`kind`: the error of errors.py that it is; `key`: `refusal.<key>` says what happened, `.hint` what to do, unless
    `said` and `hint` are the keys of other texts that do."""

    def __init__(
        self, kind: type[AvatarError], key: str, *, said: str = "", hint: str = "", **values: object
    ) -> None:
        self.kind, self.key, self._values, own = kind, key, values, f"refusal.{key}"
        self._said, self._remedy = said or own, hint or f"{own}.hint"
        super().__init__(*self.words("en"))

    def words(self, language: str) -> tuple[str, str]:
        """(message, hint) in a language."""
        return text(self._said, language, **self._values), text(self._remedy, language)


def failed_here(error: Exception) -> AvatarError:
    """As `naming.named`, for what failed on the page and ended no job; what nobody has named goes into the log."""
    if isinstance(error, AvatarError):
        return error
    LOG.error("The page could not do what was asked.", exc_info=error)
    found = named(error)
    return PageFailed(described(error)) if type(found) is Crashed else found

"""What the page itself refuses: an error whose words are in the table, so that it speaks the user's language."""

from __future__ import annotations

from personal_avatar.errors import AvatarError
from personal_avatar.ui.texts import text


class Refusal(AvatarError):
    """`kind`: the error of errors.py that it is; `key`: `refusal.<key>` says what happened, `.hint` what to do."""

    def __init__(self, kind: type[AvatarError], key: str, **values: object) -> None:
        self.kind, self._key, self._values = kind, f"refusal.{key}", values
        super().__init__(*self.words("en"))

    def words(self, language: str) -> tuple[str, str]:
        """(message, hint) in a language."""
        return text(self._key, language, **self._values), text(f"{self._key}.hint", language)

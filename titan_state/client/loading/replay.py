"""Replay: passes over what was handed out already, where a file begins again, if it is the same file."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from titan_state.errors import PayloadError

if TYPE_CHECKING:
    from titan_state.client.loading.downloads import Part


class Replay:
    """The bytes of one file, each of them once."""

    def __init__(self, name: str) -> None:
        """Begin with nothing.

        Args:
            name: How requests for the file are called in errors.
        """
        self._name = name
        self._seen, self._size = blake2b(), 0
        self._again, self._passed = blake2b(), 0

    def fresh(self, part: Part) -> bytes:
        """Return what of a part was not handed out before.

        Raises:
            PayloadError: The file is another one than before.
        """
        if not part.data:  # it begins, or begins again
            self._again, self._passed = blake2b(), 0
        old, new = part.data[: max(0, self._size - self._passed)], part.data[max(0, self._size - self._passed) :]
        self._again.update(old)
        self._passed += len(part.data)
        if old and self._passed >= self._size and self._again.digest() != self._seen.digest():
            raise self._changed()
        self._seen.update(new)
        self._size += len(new)
        return new

    def end(self) -> None:
        """Take in that the file has ended.

        Raises:
            PayloadError: It ended sooner than before: it is another one.
        """
        if self._passed < self._size:
            raise self._changed()

    def _changed(self) -> PayloadError:
        return PayloadError("the export changed while it was read; read it once more", request=self._name)

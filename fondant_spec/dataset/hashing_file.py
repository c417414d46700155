"""A file that counts and hashes what is written to it, so that nothing is read twice."""

import hashlib
from typing import IO, Any


class HashingFile:
    """A binary output that counts and hashes what passes through it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.bytes_written = 0
        self.closed = False

    def write(self, data: Any) -> int:
        """Write bytes or any buffer."""
        view = memoryview(data)
        self._digest.update(view)
        self.bytes_written += view.nbytes
        self._file.write(view)
        return view.nbytes

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self.bytes_written

    def flush(self) -> None:
        """Flush the buffer."""
        self._file.flush()

    def close(self) -> None:
        """Leave the closing to whoever opened the file below."""
        self.closed = True

    @property
    def sha256(self) -> str:
        """The hash of all bytes so far, in hexadecimal."""
        return self._digest.hexdigest()

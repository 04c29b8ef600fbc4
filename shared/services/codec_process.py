"""The other end of `services/codecs.py`: a process that calls one function after the other.

Requests and answers are pickles behind their length. It ends when its input does, which is when the service ends, however
that happens.
"""

from __future__ import annotations

import logging
import os
import pickle
import resource
import signal
import struct
import sys
import warnings
from typing import BinaryIO, Final

LENGTH: Final = struct.Struct("<Q")

# What a call may take. It ends the process, as memory does; a code stream can claim any size.
MAX_SECONDS: Final = 200


def main() -> None:
    """Serves calls from the standard input until it ends. The argument is the memory that this process may take, in bytes."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # codecs print
    memory = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    warnings.simplefilter("ignore")
    logging.disable()
    while request := _read(requests):
        signal.alarm(MAX_SECONDS)
        answer = _answer(request)
        signal.alarm(0)
        answers.write(LENGTH.pack(len(answer)) + answer)
        answers.flush()


def _read(requests: BinaryIO) -> bytes:
    header = requests.read(LENGTH.size)
    return requests.read(*LENGTH.unpack(header)) if len(header) == LENGTH.size else b""


def _answer(request: bytes) -> bytes:
    """Whether the function returned, and what. What it raised stays here: texts of exceptions may quote patient data."""
    try:
        function, arguments = pickle.loads(request)
        return pickle.dumps((True, function(*arguments)))
    except Exception:
        return pickle.dumps((False, None))


if __name__ == "__main__":
    main()

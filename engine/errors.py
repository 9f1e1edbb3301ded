"""The one error that reaches people and programs."""

from __future__ import annotations


class BridgeError(Exception):
    """Any refusal or failure a user meets: a code for programs, a message and a hint for people.

    Attributes:
        code: one of `ERROR_CODES`.
        message: what is wrong, with the offending value.
        hint: what to do about it.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        assert code in ERROR_CODES, code
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def to_mapping(self) -> dict[str, str]:
        """The one wire shape of an error."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


ERROR_CODES: frozenset[str] = frozenset(
    {
        "bad_request",  # a field is missing, unknown or out of range
        "bad_audio",  # the clip cannot be read or used
        "bad_midi",  # the melody cannot be read or used
        "bad_message",  # a packet or frame that is not the protocol
        "forbidden",  # wrong token, origin or host, or a path outside the allowed roots
        "not_found",  # no such job, take, upload or model
        "too_large",  # over a size, length or queue limit
        "engine_crashed",  # the engine process died while it worked on the job
        "engine_failed",  # an unexpected failure inside the engine
        "out_of_memory",
        "unavailable",  # the daemon is not running, or it is shutting down
    }
)

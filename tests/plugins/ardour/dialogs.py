"""The dialogs of a program on an X screen: which are open, and a click on their close button."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import POINTER, byref, c_char_p, c_int, c_long, c_uint, c_ulong, c_void_p
from ctypes.util import find_library

_PATIENCE_S = 40.0
_POLL_S = 0.02
_CLIENT_MESSAGE = 33


class _ClientMessage(ctypes.Structure):
    """An XClientMessageEvent, as long as the longest event."""

    _fields_ = (
        ("type", c_int),
        ("serial", c_ulong),
        ("send_event", c_int),
        ("display", c_void_p),
        ("window", c_ulong),
        ("message_type", c_ulong),
        ("format", c_int),
        ("data", c_long * 5),
        ("pad", c_long * 24),
    )


def _xlib() -> ctypes.CDLL:
    xlib = ctypes.CDLL(find_library("X11") or "libX11.so.6")
    xlib.XOpenDisplay.restype = c_void_p
    xlib.XOpenDisplay.argtypes = [c_char_p]
    xlib.XDefaultRootWindow.restype = c_ulong
    xlib.XDefaultRootWindow.argtypes = [c_void_p]
    xlib.XInternAtom.restype = c_ulong
    xlib.XInternAtom.argtypes = [c_void_p, c_char_p, c_int]
    xlib.XQueryTree.argtypes = [
        c_void_p, c_ulong, POINTER(c_ulong), POINTER(c_ulong), POINTER(POINTER(c_ulong)),
        POINTER(c_uint),
    ]  # fmt: skip
    xlib.XFetchName.argtypes = [c_void_p, c_ulong, POINTER(c_char_p)]
    xlib.XSendEvent.argtypes = [c_void_p, c_ulong, c_int, c_long, c_void_p]
    xlib.XFree.argtypes = [c_void_p]
    xlib.XSync.argtypes = [c_void_p, c_int]
    xlib.XCloseDisplay.argtypes = [c_void_p]
    return xlib


class Dialogs:
    """The dialogs of one title."""

    def __init__(self, xlib: ctypes.CDLL, display: c_void_p, title: str) -> None:
        self._xlib = xlib
        self._display = display
        self._title = title.encode()

    def open(self) -> list[int]:
        """Their windows."""
        root, parent, count = c_ulong(), c_ulong(), c_uint()
        windows = POINTER(c_ulong)()
        self._xlib.XQueryTree(
            self._display, self._xlib.XDefaultRootWindow(self._display),
            byref(root), byref(parent), byref(windows), byref(count),
        )  # fmt: skip
        found = [windows[number] for number in range(count.value)]
        if count.value:
            self._xlib.XFree(windows)
        return [window for window in found if self._name(window) == self._title]

    def _name(self, window: int) -> bytes | None:
        name = c_char_p()
        self._xlib.XFetchName(self._display, window, byref(name))
        return name.value

    def close_next(self) -> None:
        """Wait for one, and close it."""
        end_s = time.monotonic() + _PATIENCE_S
        while not (windows := self.open()):
            assert time.monotonic() < end_s, f"no dialog {self._title!r}"
            time.sleep(_POLL_S)
        [window] = windows
        event = _ClientMessage(type=_CLIENT_MESSAGE, window=window, format=32)
        event.message_type = self._xlib.XInternAtom(self._display, b"WM_PROTOCOLS", 0)
        event.data[0] = self._xlib.XInternAtom(self._display, b"WM_DELETE_WINDOW", 0)
        self._xlib.XSendEvent(self._display, window, 0, 0, byref(event))
        self._xlib.XSync(self._display, 0)
        while window in self.open():
            assert time.monotonic() < end_s, f"the dialog {self._title!r} stays open"
            time.sleep(_POLL_S)


@contextmanager
def dialogs_on(display: str, title: str) -> Iterator[Dialogs]:
    """The dialogs of a title on a screen, such as `:99`."""
    xlib = _xlib()
    opened = xlib.XOpenDisplay(display.encode())
    assert opened, f"no screen {display}"
    # A window may be gone between two questions about it, which ends a program without this.
    handler_type = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p)
    handler = handler_type(lambda *_: 0)
    xlib.XSetErrorHandler(handler)
    try:
        yield Dialogs(xlib, c_void_p(opened), title)
    finally:
        xlib.XCloseDisplay(opened)
        xlib.XSetErrorHandler(None)
